"""Conservative regridding from ERA5's grid to the model's, a job per year.

INPUTS   results/download/{dataset}/{year}.era5, results/download/static.era5, results/download/forcing.nc
OUTPUTS  results/regrid/weights.nc      row, col, S: built once
         results/regrid/era5/{year}.nc  all fields (time, level, lat, lon) or (time, lat, lon)
         results/regrid/static.nc, results/regrid/forcing.nc
"""


rule regrid_weights:
    input:
        grid="results/download/static.era5" if STATICS else f"results/download/{DATASETS[0]}/{YEARS[0]}.era5",
        modules=scripts("regrid/weights.py"),
    output:
        weights="results/regrid/weights.nc",
    log:
        "logs/regrid_weights.log",
    benchmark:
        "benchmarks/regrid_weights.tsv"
    conda:
        "../../envs/regrid.yaml"
    resources:
        # Measured with boxes; the rest is room for ESMF, which was not measured.
        mem_mb=grown(4000),
        runtime=grown(30),
    params:
        project=BASE,
        resolution=config["grid"]["resolution"],
        engine=config["regrid"]["engine"],
    message:
        "Building the weights from the data's grid to {params.resolution} degrees ({params.engine})"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.regrid.weights"
        " --grid {input.grid:q} --resolution {params.resolution} --engine {params.engine}"
        " --out {output.weights:q} --log {log:q}"


rule regrid_era5:
    input:
        era5=expand("results/download/{dataset}/{{year}}.era5", dataset=DATASETS),
        weights="results/regrid/weights.nc",
        variables=VARIABLES,
        modules=scripts("regrid/era5.py"),
    output:
        "results/regrid/era5/{year}.nc",
    log:
        "logs/regrid_era5/{year}.log",
    benchmark:
        "benchmarks/regrid_era5/{year}.tsv"
    conda:
        "../../envs/regrid.yaml"
    resources:
        mem_mb=grown(2000),
        runtime=grown(15),
    params:
        project=BASE,
        datasets=DATASETS,
        product=config["download"]["product"],
        threshold=config["regrid"]["sea_threshold"],
    message:
        f"Regridding {REFERENCE_NAME} of {{wildcards.year}}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.regrid.era5"
        " --era5 {input.era5:q} --datasets {params.datasets}"
        " --weights {input.weights:q} --variables {input.variables:q}"
        " --product {params.product} --threshold {params.threshold}"
        " --out {output:q} --log {log:q}"


rule regrid_static:
    input:
        static="results/download/static.era5",
        weights="results/regrid/weights.nc",
        variables=VARIABLES,
        modules=scripts("regrid/static.py"),
    output:
        "results/regrid/static.nc",
    log:
        "logs/regrid_static.log",
    benchmark:
        "benchmarks/regrid_static.tsv"
    conda:
        "../../envs/regrid.yaml"
    resources:
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        project=BASE,
        threshold=config["regrid"]["sea_threshold"],
    message:
        "Regridding the static fields"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.regrid.static"
        " --static {input.static:q} --weights {input.weights:q} --variables {input.variables:q}"
        " --threshold {params.threshold} --out {output:q} --log {log:q}"


rule regrid_forcing:
    input:
        forcing="results/download/forcing.nc",
        weights="results/regrid/weights.nc",
        variables=VARIABLES,
        modules=scripts("regrid/forcing.py"),
    output:
        "results/regrid/forcing.nc",
    log:
        "logs/regrid_forcing.log",
    benchmark:
        "benchmarks/regrid_forcing.tsv"
    conda:
        "../../envs/regrid.yaml"
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        project=BASE,
        threshold=config["regrid"]["sea_threshold"],
        values=FORCING_VALUES,
    message:
        "Regridding the forcing, over the sea only"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.regrid.forcing"
        " --forcing {input.forcing:q} --weights {input.weights:q} --variables {input.variables:q}"
        " --values {params.values} --threshold {params.threshold} --out {output:q} --log {log:q}"
