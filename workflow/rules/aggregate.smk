"""Monthly means: of ERA5 a file per year, of the forcing one file per period.

INPUTS   results/regrid/era5/{year}.nc, results/regrid/static.nc, results/regrid/forcing.nc
OUTPUTS  results/aggregate/era5/{year}.nc            CF monthly means with bounds
         results/aggregate/forcing/{period}.nc       0.5 * (v[m] + v[m + 1]) of the forcing's month-start values, or
                                                     the means that a centre's file holds
         results/aggregate/forcing/{experiment}.nc   of an experiment whose sea differs by more than an offset
         results/aggregate/static.nc                 where the table of variables has static fields
         results/aggregate/complete.json             every month of the simulation is there once
"""


rule aggregate_era5:
    input:
        era5=aggregate_inputs,
        modules=scripts("aggregate/era5.py"),
    output:
        "results/aggregate/era5/{year}.nc",
    log:
        "logs/aggregate_era5/{year}.log",
    benchmark:
        "benchmarks/aggregate_era5/{year}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("aggregate_era5", 1000),
        runtime=minutes("aggregate_era5", 10),
    params:
        project=BASE,
        months=months_of_year,
        product=config["download"]["product"],
    message:
        f"Making monthly means of {REFERENCE_NAME} of {{wildcards.year}}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.aggregate.era5"
        " --era5 {input.era5:q} --months {params.months} --product {params.product} --out {output:q}"
        " --log {log:q}"


rule aggregate_static:
    input:
        static="results/regrid/static.nc",
        modules=scripts("aggregate/static.py"),
    output:
        "results/aggregate/static.nc",
    log:
        "logs/aggregate_static.log",
    benchmark:
        "benchmarks/aggregate_static.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("aggregate_static", 1000),
        runtime=minutes("aggregate_static", 10),
    params:
        project=BASE,
    message:
        "Describing the static fields"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.aggregate.static"
        " --static {input.static:q} --out {output:q} --log {log:q}"


rule aggregate_forcing:
    input:
        forcing="results/regrid/forcing.nc",
        modules=scripts("aggregate/forcing.py"),
    output:
        "results/aggregate/forcing/{period}.nc",
    log:
        "logs/aggregate_forcing/{period}.log",
    benchmark:
        "benchmarks/aggregate_forcing/{period}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("aggregate_forcing", 1000),
        runtime=minutes("aggregate_forcing", 10),
    params:
        project=BASE,
        period=forcing_period,
        values=FORCING_VALUES,
    message:
        "Making monthly means of the forcing over the {wildcards.period} period"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.aggregate.forcing"
        " --forcing {input.forcing:q} --period {params.period} --values {params.values} --out {output:q} --log {log:q}"


rule aggregate_experiment:
    input:
        unpack(sea_inputs),
        forcing="results/aggregate/forcing/simulation.nc",
        modules=scripts("aggregate/experiment.py"),
    output:
        "results/aggregate/forcing/{experiment}.nc",
    log:
        "logs/aggregate_experiment/{experiment}.log",
    benchmark:
        "benchmarks/aggregate_experiment/{experiment}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("aggregate_experiment", 1000),
        runtime=minutes("aggregate_experiment", 10),
    params:
        project=BASE,
        sst_offset=sst_offset,
        sea=sea_options,
    message:
        "Changing the sea of {wildcards.experiment}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.aggregate.experiment"
        " --forcing {input.forcing:q} --sst-offset={params.sst_offset} {params.sea} --out {output:q} --log {log:q}"


rule complete:
    input:
        era5=expand("results/aggregate/era5/{year}.nc", year=YEARS),
        modules=scripts("aggregate/complete.py"),
    output:
        "results/aggregate/complete.json",
    log:
        "logs/complete.log",
    benchmark:
        "benchmarks/complete.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        project=BASE,
        period=config["periods"]["simulation"],
    message:
        "Checking that every month is there once"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.aggregate.complete"
        " --era5 {input.era5:q} --period {params.period} --out {output:q} --log {log:q}"
