"""The evaluation: AIMIP's metrics from the submitted files, and the scorecard.

INPUTS   results/submission/**/*.nc (first grid of the config), results/aggregate/era5/{year}.nc, results/aggregate/static.nc
         results/evaluate/baselines/**/*.nc         of evaluate_baselines.smk
OUTPUTS  results/evaluate/summary/{experiment}/r{member}i1p1f1.nc, results/evaluate/reference.nc
         results/evaluate/models/{model}/{experiment}/{member}.nc   the same of other models, where the config names some
         results/evaluate/published.csv             scores of AIMIP's authors, where evaluation.archive.results is set
         results/evaluate/truth.nc                  the true response, of the synthetic planet or of evaluation.truth
         results/evaluate/metrics.csv, metrics.nc, scorecard.json, .txt and .html
"""


rule summarize:
    input:
        files=evaluated_files,
        index=BASE / "workflow/data/nino34_index.csv",
        modules=scripts("evaluate/summarize/simulation.py"),
    output:
        "results/evaluate/summary/{experiment}/r{member}i1p1f1.nc",
    log:
        "logs/summarize/{experiment}/r{member}.log",
    benchmark:
        "benchmarks/summarize/{experiment}/r{member}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # Much of it is reading.
        mem_mb=memory("summarize", 1000),
        runtime=minutes("summarize", 15),
    params:
        project=BASE,
        periods=json.dumps(config["periods"]),
        minimum_years=config["evaluation"]["minimum_years"],
    message:
        "Summarizing {wildcards.experiment} r{wildcards.member} for the evaluation"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.summarize.simulation"
        " --files {input.files:q} --index {input.index:q} --periods {params.periods:q} --minimum-years {params.minimum_years}"
        " --out {output:q} --log {log:q}"


rule summarize_reference:
    input:
        files=expand("results/aggregate/era5/{year}.nc", year=YEARS),
        variables=VARIABLES,
        index=BASE / "workflow/data/nino34_index.csv",
        modules=scripts("evaluate/summarize/reference.py"),
    output:
        "results/evaluate/reference.nc",
    log:
        "logs/summarize_reference.log",
    benchmark:
        "benchmarks/summarize_reference.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # Much of it is reading.
        mem_mb=memory("summarize_reference", 1000),
        runtime=minutes("summarize_reference", 15),
    params:
        project=BASE,
        periods=json.dumps(config["periods"]),
        minimum_years=config["evaluation"]["minimum_years"],
        name=REFERENCE_NAME,
    message:
        f"Summarizing {REFERENCE_NAME} for the evaluation"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.summarize.reference"
        " --files {input.files:q} --variables {input.variables:q} --name {params.name:q}"
        " --index {input.index:q} --periods {params.periods:q} --minimum-years {params.minimum_years}"
        " --out {output:q} --log {log:q}"


rule summarize_tree:
    input:
        tree=model_tree,
        variables=VARIABLES,
        index=BASE / "workflow/data/nino34_index.csv",
        modules=scripts("evaluate/summarize/tree.py"),
    output:
        directory("results/evaluate/models/{model}"),
    log:
        "logs/summarize_tree/{model}.log",
    benchmark:
        "benchmarks/summarize_tree/{model}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # A tree of others may have many members, on finer grids.
        mem_mb=grown(2000),
        runtime=grown(240),
    params:
        project=BASE,
        folder=model_folder,
        periods=json.dumps(config["periods"]),
        minimum_years=config["evaluation"]["minimum_years"],
        experiments=list(EXPERIMENTS),
    message:
        "Summarizing the submission of {wildcards.model} for the evaluation"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.summarize.tree"
        " --folder {params.folder:q} --variables {input.variables:q}"
        " --index {input.index:q} --periods {params.periods:q} --minimum-years {params.minimum_years}"
        " --experiments {params.experiments:q} --out {output:q} --log {log:q}"


rule published_results:
    input:
        scores="results/download/published/rmsb_1deg.nc",
        modules=scripts("evaluate/published_results.py"),
    output:
        "results/evaluate/published.csv",
    log:
        "logs/published_results.log",
    benchmark:
        "benchmarks/published_results.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # Some thousand numbers.
        mem_mb=grown(1000),
        runtime=grown(15),
    params:
        project=BASE,
    message:
        "Reading the scores of AIMIP's published submissions"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.published_results"
        " --scores {input.scores:q} --out {output:q} --log {log:q}"


rule truth:
    input:
        unpack(truth_inputs),
        variables=VARIABLES,
        modules=scripts("evaluate/truth.py"),
    output:
        "results/evaluate/truth.nc",
    log:
        "logs/truth.log",
    benchmark:
        "benchmarks/truth.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("truth", 1000),
        runtime=minutes("truth", 30),
    params:
        project=BASE,
        origin=option("--folder", config["evaluation"]["truth"]) or option("--seed", config["synthetic"]["seed"]),
        resolution=config["grid"]["resolution"],
        periods=json.dumps(config["periods"]),
        experiments=json.dumps(EXPERIMENTS),
    message:
        f"Computing the true response of {REFERENCE_NAME}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.truth"
        " --variables {input.variables:q} {params.origin} --resolution {params.resolution}"
        " --periods {params.periods:q} --experiments {params.experiments:q} --out {output:q} --log {log:q}"


rule evaluate:
    input:
        reference="results/evaluate/reference.nc",
        summaries=SUMMARIES,
        baselines=BASELINE_SUMMARIES,
        static=LAND,
        truth=TRUTH,
        models=expand("results/evaluate/models/{model}", model=MODELS),
        published=PUBLISHED,
        results=PUBLISHED_RESULTS,
        modules=scripts("evaluate/evaluation.py"),
    output:
        csv=report(
            "results/evaluate/metrics.csv",
            caption="../report/metrics.rst",
            category="Scorecard",
            labels={"content": "all metrics, CSV"},
        ),
        netcdf="results/evaluate/metrics.nc",
        scorecard="results/evaluate/scorecard.json",
        html=report(
            "results/evaluate/scorecard.html",
            caption="../report/scorecard.rst",
            category="Scorecard",
            labels={"content": "scorecard"},
        ),
        text="results/evaluate/scorecard.txt",
    log:
        "logs/evaluate.log",
    benchmark:
        "benchmarks/evaluate.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        # It reads means, not files of the submission.
        mem_mb=memory("evaluate", 1500),
        runtime=minutes("evaluate", 15),
    params:
        project=BASE,
        members=len(MEMBERS),
        experiments=json.dumps(EXPERIMENTS),
        settings=JUDGED,
        periods=json.dumps(config["periods"]),
        source=config["submission"]["source_id"],
        reference_name=REFERENCE_NAME,
    message:
        "Computing AIMIP's metrics and the scorecard"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.evaluation"
        " --reference {input.reference:q} --summaries results/evaluate/summary --members {params.members}"
        " --static {input.static:q} --truth {input.truth:q} --models {input.models:q}"
        " --baselines results/evaluate/baselines --published {input.results:q}"
        " --experiments {params.experiments:q} --settings {params.settings:q} --periods {params.periods:q}"
        " --source {params.source:q} --reference-name {params.reference_name:q}"
        " --csv {output.csv:q} --netcdf {output.netcdf:q} --scorecard {output.scorecard:q}"
        " --html {output.html:q} --text {output.text:q} --log {log:q}"
