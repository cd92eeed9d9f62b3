"""ERA5 and the AIMIP forcing as they are delivered, from the source that the config names.

INPUTS   none from the workflow; with source local the centre's own files, with source synthetic the planet's data
OUTPUTS  results/download/{dataset}/{year}.era5, results/download/static.era5   CDS replies: netCDF, GRIB or a ZIP
         results/download/forcing.nc                                            AIMIP forcing, values at month starts
         beside each: .json, the record of request, time, size, checksum and ERA5 version
         results/download/models/{model}.json                                   record of a model from AIMIP's archive,
                                                                                its files in results/download/models/{model}/
         results/download/published/rmsb_1deg.nc                                E1 of AIMIP's authors, from their results' archive,
                                                                                beside it record.json

The table of variables is no input here: only the names and levels that a request holds rerun a download.
"""


rule download_era5:
    input:
        unpack(download_inputs("pattern")),
    output:
        reply="results/download/{dataset}/{year}.era5",
        record="results/download/{dataset}/{year}.json",
    log:
        "logs/download_era5/{dataset}/{year}.log",
    benchmark:
        "benchmarks/download_era5/{dataset}/{year}.tsv"
    localrule: config["download"]["login_node"]
    conda:
        "../../envs/download.yaml"
    resources:
        **WAITING,
        mem_mb=grown(2000),
        runtime=download_minutes(),
        cds_single_levels=request_slot("single-levels"),
        cds_pressure_levels=request_slot("pressure-levels"),
    params:
        project=BASE,
        settings=json.dumps(download_settings("era5")),
        variables=VARIABLES,
        # What a request holds; the program reads it from the table, of which no other column reruns a download.
        request=requested,
        months=months_of_year,
        local=local_option,
    message:
        f"Getting {REFERENCE_NAME} {{wildcards.dataset}} of {{wildcards.year}}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.download.era5"
        " --dataset {wildcards.dataset} --months {params.months} --variables {params.variables:q}"
        " --settings {params.settings:q} {params.local}"
        + WAITING_OPTIONS
        + " --out {output.reply:q} --record {output.record:q} --log {log:q}"


rule download_static:
    input:
        unpack(download_inputs("static")),
    output:
        reply="results/download/static.era5",
        record="results/download/static.json",
    log:
        "logs/download_static.log",
    benchmark:
        "benchmarks/download_static.tsv"
    localrule: config["download"]["login_node"]
    conda:
        "../../envs/download.yaml"
    resources:
        **WAITING,
        # Room for a reply as large as a year's.
        mem_mb=grown(2000),
        runtime=download_minutes(),
        cds_single_levels=request_slot("single-levels"),
    params:
        project=BASE,
        settings=json.dumps(download_settings("era5")),
        variables=VARIABLES,
        # As in download_era5.
        request=fields_of("static"),
        local=local_option,
    message:
        f"Getting the static fields of {REFERENCE_NAME}"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.download.era5"
        " --dataset static --variables {params.variables:q} --settings {params.settings:q} {params.local}"
        + WAITING_OPTIONS
        + " --out {output.reply:q} --record {output.record:q} --log {log:q}"


rule download_forcing:
    input:
        unpack(download_inputs("forcing")),
    output:
        reply="results/download/forcing.nc",
        record="results/download/forcing.json",
    log:
        "logs/download_forcing.log",
    benchmark:
        "benchmarks/download_forcing.tsv"
    localrule: config["download"]["login_node"]
    conda:
        "../../envs/download.yaml"
    resources:
        **WAITING,
        # Field by field at any resolution; the time is for a file at 0.25 degrees from Zenodo at 1 MB/s, with pauses.
        mem_mb=grown(2000),
        runtime=grown(240),
        # Here and not in params, as what WAITING holds.
        period=" ".join(config["periods"]["simulation"]),
    params:
        project=BASE,
        settings=json.dumps(download_settings("forcing")),
        variables=VARIABLES,
        # As in download_era5.
        request=fields_of("forcing"),
        local=local_option,
    message:
        "Getting the AIMIP sea-surface temperature and sea ice"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.download.forcing"
        " --period {resources.period} --variables {params.variables:q}"
        " --settings {params.settings:q} {params.local}"
        + WAITING_OPTIONS
        + " --out {output.reply:q} --record {output.record:q} --log {log:q}"


rule download_archive:
    input:
        manifest=ARCHIVE["manifest"] or [],
    output:
        "results/download/models/{model}.json",
    log:
        "logs/download_archive/{model}.log",
    benchmark:
        "benchmarks/download_archive/{model}.tsv"
    localrule: config["download"]["login_node"]
    conda:
        "../../envs/download.yaml"
    resources:
        **WAITING,
        # It copies streams to files; a day is for an archive of 100 GB at 1 MB/s. Files that are there already stay.
        mem_mb=grown(1000),
        runtime=1440,
    params:
        project=BASE,
        url=ARCHIVE["url"],
        prefix=lambda wildcards: ARCHIVE["models"][wildcards.model],
        manifest=option("--manifest", ARCHIVE["manifest"]),
        folder=model_folder,
        variables=VARIABLES,
        experiments=list(EXPERIMENTS),
    message:
        "Getting {wildcards.model} from the archive of AIMIP"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.download.archive"
        " --url {params.url:q} --prefix {params.prefix:q} {params.manifest}"
        " --variables {params.variables:q} --experiments {params.experiments} --folder {params.folder:q}"
        + WAITING_OPTIONS
        + " --record {output:q} --log {log:q}"


rule download_results:
    input:
        results_archive(),
    output:
        scores="results/download/published/rmsb_1deg.nc",
        record="results/download/published/record.json",
    log:
        "logs/download_results.log",
    benchmark:
        "benchmarks/download_results.tsv"
    localrule: config["download"]["login_node"]
    conda:
        "../../envs/download.yaml"
    resources:
        **WAITING,
        # It copies streams to files; the time is for 140 MB from Zenodo, with pauses.
        mem_mb=grown(1000),
        runtime=grown(240),
    params:
        project=BASE,
        origin=ARCHIVE["results"],
    message:
        "Getting the scores of AIMIP's published submissions from their authors' results"
    shell:
        "PYTHONPATH={params.project:q} python -m workflow.scripts.download.results --origin {params.origin:q}"
        + WAITING_OPTIONS
        + " --out {output.scores:q} --record {output.record:q} --log {log:q}"
