"""Monthly Diffusion for AIMIP: a full submission to AIMIP Phase 1, from ERA5 to checked CMOR files and a report.

Named targets: each experiment of the config (aimip, aimip-p2k, aimip-p4k), submission, evaluation, and all; gcm, data of a GCM to learn from.
"""

from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


configfile: Path(workflow.snakefile).parent / "config/config.yaml"


include: "workflow/rules/config.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/common.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        SUBMISSION,
        EVALUATION,


rule submission:
    input:
        SUBMISSION,


rule evaluation:
    input:
        EVALUATION,


rule gcm:
    input:
        GCM,


for experiment in EXPERIMENTS:

    rule:
        name:
            experiment
        input:
            f"results/check/{experiment}.json",


include: "workflow/rules/download.smk"
include: "workflow/rules/regrid.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/normalize.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/rollout.smk"
include: "workflow/rules/cmorize.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/publish.smk"
include: "workflow/rules/response.smk"
include: "workflow/rules/evaluate_baselines.smk"
include: "workflow/rules/long_run.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/evaluate_plots.smk"
include: "workflow/rules/gcm.smk"
