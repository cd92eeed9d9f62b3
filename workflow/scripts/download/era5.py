"""ERA5 and the AIMIP forcing from the source that the config names, checked before they become an output.

cds: the Copernicus Climate Data Store, and Zenodo for the forcing; local: files that a centre holds, linked and not
copied; synthetic: the workflow's own planet. Whatever the source, a file is judged by the same checks of its content;
one that fails them leaves a sentence and no output. Beside each file lies a record: request, request id, time, size,
sha256, ERA5 version.
"""

import hashlib
import json
import logging
import os
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.checksums import digests
from workflow.scripts.common.variables import read_variables
from workflow.scripts.inputs.checks import check_file, check_reply
from workflow.scripts.inputs.forcing import check_forcing


def download_era5(output, record, variables, dataset, months, settings, limits=None, local=None):
    """Put the ERA5 fields of ``dataset`` (single-levels, pressure-levels, static) for ``months`` at ``output``.

    ``months``: "YYYY-MM" of one year; ignored for static. ``settings``: {"source": cds | synthetic | local} and what
    the source needs: ``product`` and ``era5t`` (cds, local), ``resolution`` of the grid in degrees (cds, synthetic),
    ``seed`` (synthetic). ``limits``: see ``cds.retrieve``. ``local``: the centre's file. Raises ValueError, OSError or
    RuntimeError with one sentence.
    """
    rows = read_variables(variables, dataset=dataset)
    months = None if dataset == "static" else months
    if settings["source"] == "local":
        if not Path(local).is_file():
            raise FileNotFoundError(f"{local} is not there; check local.folder and local.pattern")
        versions = check_file(local, rows, months, settings["product"], era5t=settings["era5t"], extra=True)
        _link(local, output)
        _write_record(record, output, versions, {"source": "local", "file": str(local), "time": _now()})
        return
    with atomic_path(output) as temporary:
        if settings["source"] == "synthetic":
            synthesize(temporary, dataset, months, variables, settings)
            versions = check_file(temporary, rows, months, label=output, resolution=settings["resolution"])
            about = {"source": "synthetic", **{key: settings[key] for key in ("resolution", "seed")}}
        else:
            versions, about = _from_cds(temporary, Path(output), rows, dataset, months, settings, limits)
        _write_record(record, temporary, versions, about)


def download_forcing(output, record, variables, period, settings, limits=None, local=None):
    """Put the AIMIP forcing file, checked for the months of ``period`` (start, end), at ``output``.

    ``settings``: as for ``download_era5``; with source cds also ``forcing_record`` (API address of the Zenodo record),
    ``forcing_file`` (its name there) and ``forcing_sha256`` (or None).
    """
    rows = read_variables(variables, role="forcing")
    if settings["source"] == "local":
        if not Path(local).is_file():
            raise FileNotFoundError(f"{local} is not there; check local.folder and local.forcing")
        check_forcing(local, rows, *period)
        _link(local, output)
        _write_record(record, output, [], {"source": "local", "file": str(local), "time": _now()})
        return
    with atomic_path(output) as temporary:
        if settings["source"] == "synthetic":
            synthesize(temporary, "forcing", None, variables, settings)
            about = {"source": "synthetic", **{key: settings[key] for key in ("resolution", "seed")}}
        else:
            from workflow.scripts.download.zenodo import fetch_from_record

            address, name = settings["forcing_record"], settings["forcing_file"]
            about = fetch_from_record(address, name, temporary, limits, settings["forcing_sha256"])
            about = {"source": "zenodo", "time": _now()} | about
        check_forcing(temporary, rows, *period)
        _write_record(record, temporary, [], about)


def synthesize(path, dataset, months, variables, settings):
    """Write the file of ``dataset`` that the synthetic planet delivers for ``months``."""
    from workflow.scripts.planet import era5_files as planet

    resolution, seed = settings["resolution"], settings["seed"]
    if dataset == "forcing":
        planet.write_forcing(path, resolution, seed)
    elif dataset == "static":
        planet.write_static(path, variables, resolution)
    else:
        write = {"single-levels": planet.write_single_levels, "pressure-levels": planet.write_pressure_levels}[dataset]
        write(int(months[0][:4]), path, variables, resolution, seed, [int(month[5:]) for month in months])


def _from_cds(temporary, output, rows, dataset, months, settings, limits):
    """Fetch and check what one file needs from the CDS; (versions, record). Several replies become one ZIP."""
    from workflow.scripts.download import cds

    product = "monthly" if dataset == "static" else settings["product"]
    requests = cds.requests_for(dataset, rows, months or [cds.STATIC_MONTH], product)
    label = f"the reply of the CDS for {dataset}" + (f" {months[0][:4]}" if months else "")
    terms = {"label": label, "era5t": settings["era5t"], "resolution": settings["resolution"]}
    folder = output.with_name(f".{output.name}.parts")  # survives an interruption, so that finished parts are kept
    parts, identities, versions = [], [], set()
    for collection, request in requests:
        mark = hashlib.sha256(json.dumps([collection, request], sort_keys=True).encode()).hexdigest()[:16]
        job = output.with_name(f".{output.name}.{mark}.job")
        if len(requests) == 1:

            def check(path):
                versions.update(check_file(path, rows, months, product, **terms))

            identities.append(cds.retrieve(collection, request, temporary, check, limits, job))
            break
        asked = [row for row in rows if row.cds_name in request["variable"]]

        def check(path, asked=asked, request=request):
            versions.update(check_reply(path, asked, request, product, **terms))

        parts.append(folder / f"{mark}.part")
        identity = parts[-1].with_suffix(".id")  # beside the part: that of a run which was killed counts as well
        if not (parts[-1].exists() and identity.exists()):
            with atomic_path(parts[-1]) as part:
                identity.write_text(cds.retrieve(collection, request, part, check, limits, job), encoding="utf-8")
        identities.append(identity.read_text(encoding="utf-8"))
    if parts:
        _bundle(parts, temporary)
        versions.update(check_file(temporary, rows, months, product, **terms))
        shutil.rmtree(folder)
    asked = {"dataset": requests[0][0], "requests": [request for _, request in requests], "request_ids": identities}
    return sorted(versions), {"source": "cds"} | asked | {"time": _now()}


def _bundle(parts, target):
    """One ZIP, without compression, of the netCDF files in ``parts``, which may be ZIPs themselves."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for number, part in enumerate(parts):
            if zipfile.is_zipfile(part):
                with zipfile.ZipFile(part) as inner:
                    for name in inner.namelist():
                        with (
                            inner.open(name) as source,
                            archive.open(f"{number:04d}_{name}", "w", force_zip64=True) as to,
                        ):
                            shutil.copyfileobj(source, to, 1 << 22)
            else:
                archive.write(part, f"{number:04d}.nc")


def _link(source, output):
    """A symbolic link at ``output`` to the file ``source``, made whole."""
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(Path(source).resolve())
    os.replace(temporary, output)


def _now():
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write_record(record, path, versions, about):
    facts = digests(path)
    content = about | {"size": facts["size"], "sha256": facts["sha256"]} | ({"expver": versions} if versions else {})
    with atomic_path(record) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    logging.info("%s bytes, sha256 %s", facts["size"], facts["sha256"])


if __name__ == "__main__":
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    job, params, output = snakemake.input, snakemake.params, snakemake.output
    # How long to wait for a server, and the period to check, change no byte of a file: read past the params, so that
    # they rerun nothing.
    patience = {key: snakemake.config["download"][key] for key in ("first_wait", "patience", "outage")}
    common = {"settings": params.settings, "limits": patience, "local": job.get("local")}
    if params.dataset == "forcing":
        period = snakemake.config["periods"]["simulation"]
        download_forcing(output.reply, output.record, params.variables, period, **common)
    else:
        download_era5(output.reply, output.record, params.variables, params.dataset, params.get("months"), **common)
