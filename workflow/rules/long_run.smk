"""The long run: the model left to itself under a repeated sea; one that runs away fails here.

INPUTS   results/train/checkpoint.zip or the config's model.checkpoint, results/normalize/initial.nc, training.nc,
         results/normalize/forcing/{control}.nc
OUTPUTS  results/evaluate/long_run.json, .csv    spread and decadal variance of global means, less their forced response, and of leading patterns
"""


rule long_run:
    input:
        checkpoint=CHECKPOINT,
        initial="results/normalize/initial.nc",
        forcing=f"results/normalize/forcing/{CONTROL}.nc",
        data="results/normalize/training.nc",
        modules=modules("model/long_run.py"),
    output:
        json="results/evaluate/long_run.json",
        table=report(
            "results/evaluate/long_run.csv",
            caption="../report/long_run.rst",
            category="Variability",
            labels={"figure": "long run, CSV"},
        ),
    log:
        "logs/long_run.log",
    benchmark:
        "benchmarks/long_run.tsv"
    conda:
        "../../envs/model.yaml"
    threads: 1
    resources:
        # As a rollout of 1,000 months that writes no fields. A GPU's libraries as in train.
        mem_mb=memory("long_run", 8000),
        runtime=minutes("long_run", 60),
        gpu=1,
    params:
        project=BASE,
        months=config["evaluation"]["long_run_months"],
        members=config["evaluation"]["long_run_members"],
        seed=config["seed"],
    message:
        "Leaving the model to itself for {params.months} months"
    shell:
        "PYTHONPATH={params.project:q} OMP_NUM_THREADS={threads} python -m model.long_run --checkpoint {input.checkpoint:q}"
        " --initial {input.initial:q} --forcing {input.forcing:q} --data {input.data:q} --months {params.months}"
        " --members {params.members} --seed {params.seed} --out {output.json:q} --table {output.table:q} --log {log:q}"
