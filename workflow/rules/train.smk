"""The model: trained once, used by every experiment.

INPUTS   results/normalize/training.nc
OUTPUTS  results/train/checkpoint.zip   config, channels, normalization and weights: all that a rollout needs
         results/train/metrics.csv      losses and the validation score per epoch, and the candidates' free runs
         results/train/validation.csv   all measures of the chosen weights' free run
         beside them, undeclared: state/, from which a killed run goes on, and tensorboard/
"""


rule train:
    input:
        data="results/normalize/training.nc",
        guess=FIRST_GUESS,
        modules=modules("model/train.py"),
    output:
        checkpoint="results/train/checkpoint.zip",
        metrics=report(
            "results/train/metrics.csv",
            caption="../report/training.rst",
            category="Training",
            labels={"content": "losses and free runs, CSV"},
        ),
        validation=report(
            "results/train/validation.csv",
            caption="../report/validation.rst",
            category="Training",
            labels={"content": "free run of the chosen weights, CSV"},
        ),
    log:
        "logs/train.log",
    benchmark:
        "benchmarks/train.tsv"
    conda:
        "../../envs/model.yaml"
    threads: 16
    resources:
        # A GPU's libraries take some of the host's memory too (not measured).
        mem_mb=memory("train", 12000),
        # Training stops itself before this limit and goes on from its state in the next attempt, so that it need not
        # grow.
        runtime=720,
        gpu=1,
        # Here and not in params: it changes no number, so that a change of it reruns nothing.
        checkpoint_minutes=str(config["training"]["checkpoint_minutes"]),
    params:
        project=BASE,
        settings=json.dumps({"model": NETWORK, "training": RECIPE}),
        seed=config["seed"],
    message:
        "Training the model; TensorBoard files in results/train/tensorboard"
    shell:
        "PYTHONPATH={params.project:q} OMP_NUM_THREADS={threads} python -m model.train --data {input.data:q}"
        " --settings {params.settings:q} --seed {params.seed} --out {output.checkpoint:q} --metrics {output.metrics:q}"
        " --validation {output.validation:q}"
        " --state results/train/state --checkpoint-minutes {resources.checkpoint_minutes}"
        " --minutes {resources.runtime} --tensorboard results/train/tensorboard --log {log:q}"
