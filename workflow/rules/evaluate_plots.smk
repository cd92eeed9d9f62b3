"""Figures of the report, from the metrics and the summaries of the evaluation, and from the training's own tables.

INPUTS   results/evaluate/metrics.csv, metrics.nc, reference.nc, summary/**/*.nc, results/train/metrics.csv, validation.csv
OUTPUTS  results/evaluate/figures/*.png and *.pdf
"""


rule plot_training:
    input:
        metrics="results/train/metrics.csv",
        validation="results/train/validation.csv",
        modules=scripts("evaluate/plots/training.py"),
    output:
        png=figure("training", "training", "Training", figure="losses and free run"),
        pdf="results/evaluate/figures/training.pdf",
    log:
        "logs/plot_training.log",
    benchmark:
        "benchmarks/plot_training.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        # As plot_models.
        mem_mb=grown(1000),
        runtime=grown(15),
    params:
        project=BASE,
        reference_name=REFERENCE_NAME,
    message:
        "Drawing the training"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.plots.training --metrics {input.metrics:q}"
        " --validation {input.validation:q} --reference-name {params.reference_name:q} --out {output.png:q} --log {log:q}"


rule plot_maps:
    input:
        table="results/evaluate/metrics.csv",
        maps="results/evaluate/metrics.nc",
        reference="results/evaluate/reference.nc",
        static=LAND,
        modules=scripts("evaluate/plots/maps.py"),
    output:
        figure("bias_training", "bias_training", "E1 bias", figure="maps", period="training"),
        figure("bias_test", "bias_test", "E1 bias", figure="maps", period="test"),
        figure("trends", "trends", "E2 trends", figure="maps"),
        figure("enso", "enso", "E3 ENSO", figure="maps"),
        [figure(f"response_{name}", "response", "E5 response", figure="maps", experiment=name) for name in CHANGED],
        pdf=expand(
            "results/evaluate/figures/{name}.pdf",
            name=["bias_training", "bias_test", "trends", "enso", *(f"response_{name}" for name in CHANGED)],
        ),
    log:
        "logs/plot_maps.log",
    benchmark:
        "benchmarks/plot_maps.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=memory("plot_maps", 1500),
        runtime=minutes("plot_maps", 15),
    params:
        project=BASE,
        experiments=json.dumps(EXPERIMENTS),
        settings=JUDGED,
        periods=json.dumps(config["periods"]),
        source=config["submission"]["source_id"],
        reference_name=REFERENCE_NAME,
    message:
        "Drawing the maps"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.plots.maps"
        " --table {input.table:q} --maps {input.maps:q} --reference {input.reference:q} --static {input.static:q}"
        " --experiments {params.experiments:q} --settings {params.settings:q} --periods {params.periods:q}"
        " --source {params.source:q} --reference-name {params.reference_name:q}"
        " --out results/evaluate/figures --log {log:q}"


rule plot_lines:
    input:
        table="results/evaluate/metrics.csv",
        maps="results/evaluate/metrics.nc",
        reference="results/evaluate/reference.nc",
        static=LAND,
        summaries=SUMMARIES,
        published=PUBLISHED,
        results=PUBLISHED_RESULTS,
        modules=scripts("evaluate/plots/lines.py"),
    output:
        figure("scores", "scores", "E1 bias", figure="RMSB of all fields"),
        figure("series", "series", "Global means", figure="series"),
        figure("zonal_bias", "zonal_bias", "E1 bias", figure="zonal means", period="test"),
        figure("indices", "indices", "Variability", figure="indices"),
        figure("ensemble", "ensemble", "Variability", figure="ensemble spread and ranks"),
        figure("spectra", "spectra", "Variability", figure="spectra by wavenumber"),
        figure("stratosphere", "stratosphere", "Variability", figure="stratosphere"),
        figure("land_sea", "land_sea", "E5 response", figure="land and sea"),
        figure("seasonal_response", "seasonal_response", "E5 response", figure="by calendar month"),
        pdf=expand(
            "results/evaluate/figures/{name}.pdf",
            name=[
                *("scores", "series", "zonal_bias", "indices", "ensemble", "spectra", "stratosphere", "land_sea"),
                "seasonal_response",
            ],
        ),
    log:
        "logs/plot_lines.log",
    benchmark:
        "benchmarks/plot_lines.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=memory("plot_lines", 1500),
        runtime=minutes("plot_lines", 15),
    params:
        project=BASE,
        members=len(MEMBERS),
        experiments=json.dumps(EXPERIMENTS),
        settings=JUDGED,
        periods=json.dumps(config["periods"]),
        source=config["submission"]["source_id"],
        reference_name=REFERENCE_NAME,
    message:
        "Drawing series, sections and spectra"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.plots.lines"
        " --table {input.table:q} --maps {input.maps:q} --reference {input.reference:q} --static {input.static:q}"
        " --summaries results/evaluate/summary --members {params.members} --published {input.results:q}"
        " --experiments {params.experiments:q} --settings {params.settings:q} --periods {params.periods:q}"
        " --source {params.source:q} --reference-name {params.reference_name:q}"
        " --out results/evaluate/figures --log {log:q}"


rule plot_models:
    input:
        table="results/evaluate/metrics.csv",
        modules=scripts("evaluate/plots/models.py"),
    output:
        png=figure("models", "models", "E1 bias", figure="models side by side"),
        pdf="results/evaluate/figures/models.pdf",
    log:
        "logs/plot_models.log",
    benchmark:
        "benchmarks/plot_models.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        # As plot_lines with less to draw.
        mem_mb=grown(1000),
        runtime=grown(15),
    params:
        project=BASE,
        sources=[config["submission"]["source_id"], *MODELS],
        control=CONTROL,
        test=config["periods"]["test"],
        reference_name=REFERENCE_NAME,
    message:
        "Drawing the models side by side"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.evaluate.plots.models"
        " --table {input.table:q} --sources {params.sources:q} --control {params.control:q} --test {params.test:q}"
        " --reference-name {params.reference_name:q} --out {output.png:q} --log {log:q}"
