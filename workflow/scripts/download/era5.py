"""ERA5 from the source that the config names, checked before it becomes an output.

cds: the Copernicus Climate Data Store; local: files that a centre holds, linked and not copied; synthetic: the
workflow's own planet. Whatever the source, a file is judged by the same checks of its content; one that fails them
leaves a sentence and no output. Beside each file lies a record: request, request id, time, size, sha256, ERA5 version.
"""

import hashlib
import json
import shutil
import sys
import zipfile
from pathlib import Path

from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.ncfiles import try_folder
from workflow.scripts.common.variables import read_variables
from workflow.scripts.download.backoff import limits_of
from workflow.scripts.download.records import now, write_record
from workflow.scripts.download.sources import command_line, link, synthesize
from workflow.scripts.inputs.checks import check_file, check_reply
from workflow.scripts.inputs.era5 import is_grib


def download_era5(output, record, variables, dataset, months, settings, limits=None, local=None):
    """Put the ERA5 fields of ``dataset`` (single-levels, pressure-levels, static) for ``months`` at ``output``.

    ``months``: "YYYY-MM" of one year; ignored for static. ``settings``: {"source": cds | synthetic | local} and what
    the source needs: ``product`` and ``era5t`` (cds, local), ``resolution`` of the grid in degrees (cds, synthetic),
    ``format`` to ask for (cds; netcdf if absent), ``seed`` (synthetic). ``limits``: see ``cds.retrieve``. ``local``:
    the centre's file. Raises ValueError, OSError or RuntimeError with one sentence.
    """
    rows = read_variables(variables, dataset=dataset)
    months = None if dataset == "static" else months
    if settings["source"] == "local":
        if not Path(local).is_file():
            raise FileNotFoundError(f"{local} is not there; check local.folder and local.pattern")
        versions = check_file(local, rows, months, settings["product"], era5t=settings["era5t"], extra=True)
        link(local, output)
        write_record(record, output, versions, {"source": "local", "file": str(local), "time": now()})
        return
    with atomic_path(output) as temporary:
        if settings["source"] == "synthetic":
            synthesize(temporary, dataset, months, variables, settings)
            versions = check_file(temporary, rows, months, label=output, resolution=settings["resolution"])
            about = {"source": "synthetic", **{key: settings[key] for key in ("resolution", "seed")}}
        else:
            # A reply that could not be read here would have been fetched in vain.
            try_folder(output)
            versions, about = _from_cds(temporary, Path(output), rows, dataset, months, settings, limits)
        write_record(record, temporary, versions, about)


def _from_cds(temporary, output, rows, dataset, months, settings, limits):
    """Fetch and check what one file needs from the CDS; (versions, record). Several replies become one file."""
    from workflow.scripts.download import cds

    product = "monthly" if dataset == "static" else settings["product"]
    data_format = settings.get("format", "netcdf")
    requests = cds.requests_for(dataset, rows, months or [cds.STATIC_MONTH], product, data_format)
    label = f"the reply of the CDS for {dataset}" + (f" {months[0][:4]}" if months else "")
    terms = {"label": label, "era5t": settings["era5t"], "resolution": settings["resolution"]}
    folder = output.with_name(f".{output.name}.parts")  # survives an interruption, so that finished parts are kept
    parts, identities, versions = [], [], set()
    for collection, request in requests:
        mark = hashlib.sha256(json.dumps([collection, request], sort_keys=True).encode()).hexdigest()[:16]
        job = output.with_name(f".{output.name}.{mark}.job")
        if len(requests) == 1:

            def check_whole(path):
                versions.update(check_file(path, rows, months, product, **terms))

            identities.append(cds.retrieve(collection, request, temporary, check_whole, limits, job))
            break
        asked = [row for row in rows if row.cds_name in request["variable"]]

        def check_part(path, asked=asked, request=request):
            versions.update(check_reply(path, asked, request, product, **terms))

        parts.append(folder / f"{mark}.part")
        identity = parts[-1].with_suffix(".id")  # beside the part: that of a run which was killed counts as well
        if not (parts[-1].exists() and identity.exists()):
            with atomic_path(parts[-1]) as part:
                identity.write_text(cds.retrieve(collection, request, part, check_part, limits, job), encoding="utf-8")
        identities.append(identity.read_text(encoding="utf-8"))
    if parts:
        _bundle(parts, temporary)
        versions.update(check_file(temporary, rows, months, product, **terms))
        shutil.rmtree(folder)
    asked = {"dataset": requests[0][0], "requests": [request for _, request in requests], "request_ids": identities}
    return sorted(versions), {"source": "cds"} | asked | {"time": now()}


def _bundle(parts, target):
    """One ZIP, without compression, of the netCDF files in ``parts``, which may be ZIPs themselves; GRIB is joined."""
    if all(map(is_grib, parts)):
        # A file of GRIB is its messages, one after another, and needs no copy to be read.
        with open(target, "wb") as joined:
            for part in parts:
                with open(part, "rb") as source:
                    shutil.copyfileobj(source, joined, 1 << 22)
        return
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


def main(arguments=None):
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("--dataset", required=True, choices=["single-levels", "pressure-levels", "static"])
    parser.add_argument("--months", nargs="+", help="YYYY-MM of one year; not for static")

    def work(given):
        files = given.out, given.record, given.variables
        download_era5(*files, given.dataset, given.months, given.settings, limits_of(given), given.local)

    return program.run(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
