"""One preparation of fields and forcing for training, rollouts and evaluation: statistics of the training period only.

INPUTS   results/aggregate/era5/{year}.nc, results/aggregate/forcing/{period}.nc, results/aggregate/static.nc
OUTPUTS  results/normalize/statistics.nc                 centers and scales, area-weighted
         results/normalize/training.nc                   normalized training and validation months
         results/normalize/initial.nc                    normalized first month of the simulation
         results/normalize/forcing/{experiment}.nc       normalized forcing of every month, SST offset added
"""


rule normalize_statistics:
    input:
        era5=era5_of("training"),
        forcing="results/aggregate/forcing/training.nc",
        static="results/aggregate/static.nc",
        variables=VARIABLES,
        modules=scripts("normalize/fields.py"),
    output:
        "results/normalize/statistics.nc",
    log:
        "logs/normalize_statistics.log",
    benchmark:
        "benchmarks/normalize_statistics.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # 30 years: 0.6 GB, 18 s.
        mem_mb=grown(2000),
        runtime=grown(20),
    params:
        step="statistics",
        training=config["periods"]["training"],
        reference=config["normalize"]["reference"],
    message:
        "Computing statistics of the training period"
    script:
        "../scripts/normalize/fields.py"


rule normalize_training:
    input:
        era5=era5_of("training", "validation"),
        forcing="results/aggregate/forcing/training.nc",
        static="results/aggregate/static.nc",
        statistics="results/normalize/statistics.nc",
        variables=VARIABLES,
        modules=scripts("normalize/fields.py"),
    output:
        "results/normalize/training.nc",
    log:
        "logs/normalize_training.log",
    benchmark:
        "benchmarks/normalize_training.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # 36 years: 0.6 GB, 17 s.
        mem_mb=grown(2000),
        runtime=grown(20),
    params:
        step="training",
        training=config["periods"]["training"],
        validation=config["periods"]["validation"],
    message:
        "Normalizing the training and validation months"
    script:
        "../scripts/normalize/fields.py"


rule normalize_initial:
    input:
        era5="results/aggregate/era5/{}.nc".format(YEARS[0]),
        forcing="results/aggregate/forcing/simulation.nc",
        static="results/aggregate/static.nc",
        statistics="results/normalize/statistics.nc",
        variables=VARIABLES,
        modules=scripts("normalize/fields.py"),
    output:
        "results/normalize/initial.nc",
    log:
        "logs/normalize_initial.log",
    benchmark:
        "benchmarks/normalize_initial.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # 0.3 GB, 1 s.
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        step="initial",
        month=config["periods"]["simulation"][0],
    message:
        "Normalizing the first month"
    script:
        "../scripts/normalize/fields.py"


rule normalize_forcing:
    input:
        forcing="results/aggregate/forcing/simulation.nc",
        statistics="results/normalize/statistics.nc",
        modules=scripts("normalize/fields.py"),
    output:
        "results/normalize/forcing/{experiment}.nc",
    log:
        "logs/normalize_forcing/{experiment}.log",
    benchmark:
        "benchmarks/normalize_forcing/{experiment}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # 0.5 GB, 3 s.
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        step="forcing",
        sst_offset=sst_offset,
    message:
        "Normalizing the forcing of {wildcards.experiment}"
    script:
        "../scripts/normalize/fields.py"
