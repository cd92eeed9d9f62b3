"""Baselines of the control experiment: reference forecasts, summarized as they are computed.

INPUTS   results/normalize/training.nc, initial.nc and forcing/{control}.nc, results/aggregate/forcing/simulation.nc,
         for no-diffusion the checkpoint of the rollouts in the place of training.nc
         for the regressions results/evaluate/response.npz    of response.smk
OUTPUTS  results/evaluate/baselines/{baseline}/{control}/r{member}i1p1f1.nc    statistics; fields are never written
"""


rule summarize_baseline:
    input:
        unpack(baseline_data),
        initial="results/normalize/initial.nc",
        forcing=f"results/normalize/forcing/{CONTROL}.nc",
        sea="results/aggregate/forcing/simulation.nc",
        variables=VARIABLES,
        index=BASE / "workflow/data/nino34_index.csv",
        modules=scripts("evaluate/summarize/baseline.py"),
    output:
        f"results/evaluate/baselines/{{baseline}}/{CONTROL}/r{{member}}i1p1f1.nc",
    log:
        "logs/summarize_baseline/{baseline}/r{member}.log",
    benchmark:
        "benchmarks/summarize_baseline/{baseline}/r{member}.tsv"
    conda:
        "../../envs/model.yaml"
    threads: 1
    resources:
        # The maps of the regression and the sums of the summary; no whole forecast.
        mem_mb=memory("summarize_baseline", 3000),
        runtime=minutes("summarize_baseline", 30),
    params:
        project=BASE,
        data=lambda wildcards, input: " ".join(
            option(f"--{name}", input.get(name)) for name in ("training", "response", "checkpoint")
        ),
        # A baseline without a random number depends on no seed.
        seed=lambda wildcards: config["seed"] if BASELINES[wildcards.baseline] else 0,
        periods=json.dumps(config["periods"]),
        minimum_years=config["evaluation"]["minimum_years"],
    message:
        "Summarizing the baseline {wildcards.baseline} r{wildcards.member} for the evaluation"
    shell:
        "PYTHONPATH={params.project:q} OMP_NUM_THREADS={threads} python -m workflow.scripts.evaluate.summarize.baseline"
        " --baseline {wildcards.baseline:q} --member {wildcards.member} {params.data} --initial {input.initial:q}"
        " --forcing {input.forcing:q} --sea {input.sea:q} --seed {params.seed}"
        " --variables {input.variables:q} --index {input.index:q} --periods {params.periods:q}"
        " --minimum-years {params.minimum_years} --out {output:q} --log {log:q}"
