"""The submission's files, written by CMOR: one process per simulation makes all its variables on all its grids.

INPUTS   results/rollout/{experiment}/r{member}.nc, results/aggregate/forcing/*.nc, config/cmor/*.json
OUTPUTS  results/cmorize/tables/{experiment}/*.json    MIP table and controlled vocabulary, generated from the config
         results/submission/{institution_id}/{source_id}/{experiment}/r{member}i1p1f1/Amon/{variable}/{grid}/{version}/*.nc
"""


rule cmor_tables:
    input:
        unpack(sea_inputs),
        facts=CMOR_FACTS,
        variables=VARIABLES,
        modules=scripts("cmorize/tables.py"),
    output:
        cmor_table_files("{experiment}"),
    log:
        "logs/cmor_tables/{experiment}.log",
    benchmark:
        "benchmarks/cmor_tables/{experiment}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=grown(500),
        runtime=grown(10),
    params:
        project=BASE,
        facts=BASE / "config/cmor",
        sst_offset=sst_offset,
        sea=sea_options,
        # A function, since Snakemake would take braces in the texts for wildcards.
        submission=lambda wildcards: json.dumps(config["submission"]),
        resolution=config["grid"]["resolution"],
        simulation=config["periods"]["simulation"],
    message:
        "Generating the CMOR tables and controlled vocabulary of {wildcards.experiment}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.cmorize.tables --facts {params.facts:q}"
        " --variables {input.variables:q}"
        " --experiment {wildcards.experiment:q} --sst-offset={params.sst_offset} {params.sea}"
        " --submission {params.submission:q}"
        " --resolution {params.resolution} --period {params.simulation:q}"
        " --out results/cmorize/tables/{wildcards.experiment:q} --log {log:q}"


# CMOR may live in an interpreter of its own; that interpreter is no param, so it reruns nothing.
rule cmorize:
    input:
        rollout="results/rollout/{experiment}/r{member}.nc",
        forcing=sea_forcing,
        tables=cmor_table_files("{experiment}"),
        variables=VARIABLES,
        modules=scripts("cmorize/simulation.py"),
    output:
        submission_files("{experiment}", "{member}"),
    log:
        "logs/cmorize/{experiment}/r{member}.log",
    benchmark:
        "benchmarks/cmorize/{experiment}/r{member}.tsv"
    conda:
        "../../envs/cmorize.yaml"
    resources:
        mem_mb=memory("cmorize", 2000),
        runtime=minutes("cmorize", 30),
    params:
        project=BASE,
        grids=config["submission"]["grids"],
    message:
        "Writing the CMOR files of {wildcards.experiment} r{wildcards.member}"
    shell:
        'PYTHONPATH={params.project:q} "${{CMOR_PYTHON:-python}}" -m workflow.scripts.cmorize.simulation'
        " --rollout {input.rollout:q} --forcing {input.forcing:q} --variables {input.variables:q}"
        " --tables results/cmorize/tables/{wildcards.experiment:q} --experiment {wildcards.experiment:q}"
        " --member {wildcards.member:q} --grids {params.grids:q} --out results/submission"
        " --scratch {resources.tmpdir:q} --log {log:q}"
