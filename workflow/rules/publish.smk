"""What goes with the files of the submission, and a manifest of them all.

INPUTS   results/check/submission.json, results/train/checkpoint.zip or the config's model.checkpoint,
         results/download/**/*.json
OUTPUTS  results/submission/{institution_id}/{source_id}/: checkpoint.zip, config.yaml, README.md (the dataset card),
         provenance.json, catalog.json and catalog.csv (intake-esm), manifest.csv (path, size and SHA-256 of every file);
         variables.csv where the config names a table of variables
"""


# The whole config is a param of this rule alone, which is quick and last: it makes no file of a simulation stale.
rule publish:
    input:
        check="results/check/submission.json",
        checkpoint=CHECKPOINT,
        records=DOWNLOAD_RECORDS,
        facts=cmor_table_files(CONTROL),
        variables=VARIABLES,
        modules=scripts("publish/product.py"),
    output:
        **({"variables": product_file("variables.csv")} if config["variables"] else {}),
        checkpoint=product_file("checkpoint.zip"),
        config=product_file("config.yaml"),
        card=product_file("README.md"),
        provenance=product_file("provenance.json"),
        catalog=product_file("catalog.json"),
        catalog_table=product_file("catalog.csv"),
        manifest=product_file("manifest.csv"),
    log:
        "logs/publish.log",
    benchmark:
        "benchmarks/publish.tsv"
    conda:
        "../../envs/check.yaml"
    resources:
        # Checksums of all files: the time grows with the members.
        mem_mb=memory("publish", 1000),
        runtime=minutes("publish", 60),
    params:
        project=BASE,
        folder=product_folder,
        facts=lambda wildcards, input: Path(input.facts[0]).parent,
        # A function, since Snakemake would take the braces in patterns of file names for wildcards.
        config=lambda wildcards: json.dumps({key: value for key, value in config.items() if key != "captions"}),
    message:
        "Writing the dataset card, provenance, catalogue and manifest of the submission"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.publish.product --check {input.check:q}"
        " --checkpoint {input.checkpoint:q} --records {input.records:q} --facts {params.facts:q}"
        " --config {params.config:q} --repository {params.project:q} --out {params.folder:q} --log {log:q}"
