"""The response of the training months to the sea, fitted once for all baselines that regress.

INPUTS   results/normalize/training.nc
OUTPUTS  results/evaluate/response.npz
"""


rule fit_response:
    input:
        training="results/normalize/training.nc",
        guess=FIRST_GUESS,
        modules=modules("model/response.py"),
    output:
        "results/evaluate/response.npz",
    log:
        "logs/fit_response.log",
    benchmark:
        "benchmarks/fit_response.tsv"
    conda:
        "../../envs/model.yaml"
    threads: 1
    resources:
        # The maps of the regression and what one field's is made of.
        mem_mb=memory("fit_response", 5000),
        runtime=minutes("fit_response", 60),
    params:
        project=BASE,
        modes=config["evaluation"]["regression_modes"],
    message:
        "Fitting the regression that baselines take"
    shell:
        "PYTHONPATH={params.project:q} OMP_NUM_THREADS={threads} python -m model.response"
        " --data {input.training:q} --modes {params.modes} --out {output:q} --log {log:q}"
