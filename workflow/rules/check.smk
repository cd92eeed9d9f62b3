"""Checks that gate the targets: a finding writes no output, so nothing that failed counts as made.

INPUTS   results/submission/**/*.nc, results/cmorize/tables/{experiment}/*.json, results/aggregate/forcing/*.nc
OUTPUTS  results/check/{experiment}/r{member}i1p1f1.json   one simulation: files, metadata, axes, values, CF, PrePARE
         results/check/{experiment}.json                   its members together
         results/check/submission.json, .csv, .html        all experiments together
"""


rule check_simulation:
    input:
        files=submission_files("{experiment}", "{member}"),
        tables=cmor_table_files("{experiment}"),
        facts=CMOR_FACTS,
        ranges=BASE / "config/cmor/ranges.csv",
        forcing=sea_forcing,
        modules=scripts("check/simulation.py", "check/prepare.py"),
    output:
        "results/check/{experiment}/r{member}i1p1f1.json",
    log:
        "logs/check_simulation/{experiment}/r{member}.log",
    benchmark:
        "benchmarks/check_simulation/{experiment}/r{member}.tsv"
    conda:
        "../../envs/check.yaml"
    resources:
        # Much of it is reading.
        mem_mb=memory("check_simulation", 1000),
        runtime=minutes("check_simulation", 20),
    params:
        project=BASE,
        facts=BASE / "config/cmor",
    message:
        "Checking {wildcards.experiment} r{wildcards.member}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.check.simulation --submission results/submission"
        " --tables results/cmorize/tables/{wildcards.experiment:q} --facts {params.facts:q} --ranges {input.ranges:q}"
        " --forcing {input.forcing:q} --experiment {wildcards.experiment:q} --member {wildcards.member:q}"
        " --out {output:q} --log {log:q}"


rule check_experiment:
    input:
        simulations=expand("results/check/{{experiment}}/r{member}i1p1f1.json", member=MEMBERS),
        modules=scripts("check/experiment.py"),
    output:
        "results/check/{experiment}.json",
    log:
        "logs/check_experiment/{experiment}.log",
    benchmark:
        "benchmarks/check_experiment/{experiment}.tsv"
    conda:
        "../../envs/check.yaml"
    resources:
        # Summaries of all members, without their fields.
        mem_mb=grown(1000),
        runtime=grown(10),
    params:
        project=BASE,
        members=config["members"],
    message:
        "Checking the members of {wildcards.experiment} together"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.check.experiment"
        " --folder results/check/{wildcards.experiment:q} --members {params.members} --out {output:q} --log {log:q}"


rule check_submission:
    input:
        experiments=expand("results/check/{experiment}.json", experiment=EXPERIMENTS),
        forcing="results/aggregate/forcing/simulation.nc",
        changed=expand("results/aggregate/forcing/{experiment}.nc", experiment=OWN_FORCING),
        modules=scripts("check/across.py"),
    output:
        result="results/check/submission.json",
        table="results/check/submission.csv",
        page=report("results/check/submission.html", category="Checks", labels={"content": "every file and rule"}),
    log:
        "logs/check_submission.log",
    benchmark:
        "benchmarks/check_submission.tsv"
    conda:
        "../../envs/check.yaml"
    resources:
        # Of fields only ts is read, by some months at a time.
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        project=BASE,
    message:
        "Checking the experiments together"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.check.across --experiments {input.experiments:q}"
        " --submission results/submission --forcing {input.forcing:q} --changed {input.changed:q}"
        " --out {output.result:q} --table {output.table:q} --page {output.page:q} --log {log:q}"
