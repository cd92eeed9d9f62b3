"""One preparation of fields and forcing for training, rollouts and evaluation: statistics of the training period only.

INPUTS   results/aggregate/era5/{year}.nc, results/aggregate/forcing/{period}.nc, results/aggregate/static.nc
OUTPUTS  results/normalize/statistics.nc                 centers and scales, area-weighted
         results/normalize/training.nc                   normalized training and validation months
         results/normalize/initial.nc                    normalized first month of the simulation
         results/normalize/forcing/{experiment}.nc       normalized forcing of every month, SST offset added
"""


rule normalize_statistics:
    input:
        **STATIC_FIELDS,
        era5=era5_of("training"),
        forcing="results/aggregate/forcing/training.nc",
        variables=VARIABLES,
        modules=scripts("normalize/training_statistics.py"),
    output:
        "results/normalize/statistics.nc",
    log:
        "logs/normalize_statistics.log",
    benchmark:
        "benchmarks/normalize_statistics.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("normalize_statistics", 2000),
        runtime=minutes("normalize_statistics", 20),
    params:
        project=BASE,
        static=static_option,
        period=config["periods"]["training"],
        reference=config["normalize"]["reference"],
    message:
        "Computing statistics of the training period"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.normalize.training_statistics"
        " --era5 {input.era5:q} --forcing {input.forcing:q} {params.static}"
        " --variables {input.variables:q} --period {params.period} --reference {params.reference}"
        " --out {output:q} --log {log:q}"


rule normalize_training:
    input:
        **STATIC_FIELDS,
        era5=era5_of("training", "validation"),
        forcing="results/aggregate/forcing/training.nc",
        statistics="results/normalize/statistics.nc",
        variables=VARIABLES,
        modules=scripts("normalize/training.py"),
    output:
        "results/normalize/training.nc",
    log:
        "logs/normalize_training.log",
    benchmark:
        "benchmarks/normalize_training.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("normalize_training", 2000),
        runtime=minutes("normalize_training", 20),
    params:
        project=BASE,
        static=static_option,
        training=config["periods"]["training"],
        validation=config["periods"]["validation"],
    message:
        "Normalizing the training and validation months"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.normalize.training"
        " --era5 {input.era5:q} --forcing {input.forcing:q} {params.static}"
        " --statistics {input.statistics:q} --variables {input.variables:q}"
        " --training {params.training} --validation {params.validation} --out {output:q} --log {log:q}"


rule normalize_initial:
    input:
        **STATIC_FIELDS,
        era5="results/aggregate/era5/{}.nc".format(YEARS[0]),
        forcing="results/aggregate/forcing/simulation.nc",
        statistics="results/normalize/statistics.nc",
        variables=VARIABLES,
        modules=scripts("normalize/initial.py"),
    output:
        "results/normalize/initial.nc",
    log:
        "logs/normalize_initial.log",
    benchmark:
        "benchmarks/normalize_initial.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("normalize_initial", 1000),
        runtime=minutes("normalize_initial", 10),
    params:
        project=BASE,
        static=static_option,
        month=config["periods"]["simulation"][0],
    message:
        "Normalizing the first month"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.normalize.initial"
        " --era5 {input.era5:q} --forcing {input.forcing:q} {params.static}"
        " --statistics {input.statistics:q} --variables {input.variables:q} --month {params.month}"
        " --out {output:q} --log {log:q}"


rule normalize_forcing:
    input:
        forcing=sea_forcing,
        statistics="results/normalize/statistics.nc",
        modules=scripts("normalize/forcing.py"),
    output:
        "results/normalize/forcing/{experiment}.nc",
    log:
        "logs/normalize_forcing/{experiment}.log",
    benchmark:
        "benchmarks/normalize_forcing/{experiment}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("normalize_forcing", 1000),
        runtime=minutes("normalize_forcing", 10),
    params:
        project=BASE,
        sst_offset=sst_offset,
    message:
        "Normalizing the forcing of {wildcards.experiment}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.normalize.forcing"
        " --forcing {input.forcing:q} --statistics {input.statistics:q} --sst-offset={params.sst_offset}"
        " --out {output:q} --log {log:q}"
