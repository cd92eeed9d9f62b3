"""Figures of the report that are not drawn from the evaluation's metrics (those are in evaluate.smk).

INPUTS   results/train/metrics.csv, validation.csv
OUTPUTS  results/evaluate/figures/training.png, .pdf
"""


rule plot_training:
    input:
        metrics="results/train/metrics.csv",
        validation="results/train/validation.csv",
        modules=scripts("evaluate/plots/training.py"),
    output:
        png=figure("training", "training", "Training", figure="losses and free run"),
        pdf="results/evaluate/figures/training.pdf",
    log:
        "logs/plot_training.log",
    benchmark:
        "benchmarks/plot_training.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        # As plot_models.
        mem_mb=grown(1000),
        runtime=grown(15),
    params:
        project=BASE,
        reference_name=REFERENCE_NAME,
    message:
        "Drawing the training"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.plots.training --metrics {input.metrics:q}"
        " --validation {input.validation:q} --reference-name {params.reference_name:q} --out {output.png:q} --log {log:q}"
