# make demo | test | test-slow | test-slurm | submission | report | gcm | verify | lint | format | rulegraph | clean-demo; set-up happens on first use.
SHELL := /bin/sh
ENVIRONMENT := . envs/activate.sh
LAUNCH := python workflow/launch.py --snakefile Snakefile --workflow-profile workflow/profiles/local
# make demo PRESET=v0p9 runs the demo with that overlay of config/presets/, in a folder of its own.
PRESET ?=
FOLDER := demo$(if $(PRESET),-$(PRESET))
DEMO := --directory $(FOLDER) --configfile config/demo.yaml $(if $(PRESET),config/presets/$(PRESET).yaml)
REPORT := --report report.html --report-stylesheet "$(CURDIR)/workflow/report/style.css"
TARGET ?= submission

.PHONY: demo test test-slow test-slurm submission report gcm verify lint format rulegraph clean-demo

demo:
	@$(ENVIRONMENT) && $(LAUNCH) $(DEMO) && \
	if [ ! -e $(FOLDER)/report.html ] || [ -n "$$(find $(FOLDER)/results -newer $(FOLDER)/report.html -print -quit)" ]; then $(LAUNCH) $(DEMO) $(REPORT); fi && \
	python -m workflow.scripts.evaluate.scorecard.closing $(FOLDER)/results/evaluate/scorecard.txt $(FOLDER)/report.html

submission:
	@$(ENVIRONMENT) && if grep -qx 'source: cds' config/config.yaml; then python -m workflow.scripts.download.cds; fi && $(LAUNCH) $(TARGET)

report:
	@$(ENVIRONMENT) && $(LAUNCH) $(REPORT)

# Data of a general circulation model (results/gcm), by an interpreter of its own.
gcm:
	@$(ENVIRONMENT) && . envs/gcm.sh && gcm_environment && $(LAUNCH) gcm

# Recomputes the checksums of the submission that is here, the demo's too.
verify:
	@$(ENVIRONMENT) && for product in results/submission/*/* demo*/results/submission/*/*; do [ ! -d "$$product" ] || python -m workflow.scripts.publish.manifest "$$product" || exit 1; done

test: lint
	@$(ENVIRONMENT) && python -m pytest -m "not slow and not slurm"

test-slow:
	@$(ENVIRONMENT) && python -m pytest -m "slow and not slurm"

test-slurm:
	@$(ENVIRONMENT) && { PATH=$$PATH:/usr/sbin command -v slurmctld >/dev/null || install_packages slurm-wlm munge || fail "Slurm is missing: as root 'apt-get install slurm-wlm munge'"; } && python -m pytest -m slurm

lint:
	@$(ENVIRONMENT) && ruff check . && ruff format --check . && snakefmt --check Snakefile workflow/Snakefile workflow/rules && mypy && lint-imports

format:
	@$(ENVIRONMENT) && ruff check --fix . && ruff format . && snakefmt Snakefile workflow/Snakefile workflow/rules

rulegraph:
	@$(ENVIRONMENT) && python -m snakemake --rulegraph --quiet | dot -Tsvg -o workflow/report/rulegraph.svg

clean-demo:
	rm -rf $(FOLDER)
