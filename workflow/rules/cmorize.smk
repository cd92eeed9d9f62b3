"""The submission's files, written by CMOR: one process per simulation makes all its variables on all its grids.

INPUTS   results/rollout/{experiment}/r{member}.nc, results/aggregate/forcing/simulation.nc, config/cmor/*.json
OUTPUTS  results/cmorize/tables/{experiment}/*.json    MIP table and controlled vocabulary, generated from the config
         results/submission/{institution_id}/{source_id}/{experiment}/r{member}i1p1f1/Amon/{variable}/{grid}/{version}/*.nc
"""


rule cmor_tables:
    input:
        facts=CMOR_FACTS,
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
        # Less than a second.
        mem_mb=grown(500),
        runtime=grown(10),
    params:
        experiment="{experiment}",
        sst_offset=sst_offset,
        submission=config["submission"],
        resolution=config["grid"]["resolution"],
        simulation=config["periods"]["simulation"],
    message:
        "Generating the CMOR tables and controlled vocabulary of {wildcards.experiment}"
    script:
        "../scripts/cmorize/tables.py"


# A shell rule, since CMOR may live in an interpreter of its own; that interpreter is no param, so it reruns nothing.
rule cmorize:
    input:
        rollout="results/rollout/{experiment}/r{member}.nc",
        forcing="results/aggregate/forcing/simulation.nc",
        tables=cmor_table_files("{experiment}"),
        variables=VARIABLES,
        script=BASE / "workflow/scripts/cmorize/simulation.py",
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
        # A member: 0.6 GB, 1.5 minutes; 5 on a busy machine.
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        grids=config["submission"]["grids"],
    message:
        "Writing the CMOR files of {wildcards.experiment} r{wildcards.member}"
    shell:
        "${{CMOR_PYTHON:-python}} {input.script} --rollout {input.rollout}"
        " --forcing {input.forcing} --variables {input.variables} --tables results/cmorize/tables/{wildcards.experiment}"
        " --experiment {wildcards.experiment} --member {wildcards.member} --grids {params.grids}"
        " --out results/submission --scratch {resources.tmpdir} --log {log}"
