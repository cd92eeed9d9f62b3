"""Scores of AIMIP's published submissions as its authors computed them: one small file of their results' archive.

The archive (140 MB on Zenodo, made by build_repro_archive.py of https://github.com/ai2cm/AIMIP) holds the results that
AIMIP's figures are drawn from. Of it the table of E1 on 1 degree is taken, and nothing else is written: no name in the
archive becomes a path here.
"""

import gzip
import lzma
import shutil
import sys
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from workflow.scripts.common import program
from workflow.scripts.common.addresses import is_web_address
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.checksums import digests
from workflow.scripts.download.backoff import add_limits, limits_of
from workflow.scripts.download.records import now, save_record
from workflow.scripts.download.zenodo import fetch_from_record

MEMBER = "evaluations/notebooks/cached/rmsb_1deg.nc"
SETTING = "evaluation.archive.results"
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,
)


def download_results(output, record, origin, limits):
    """Put ``MEMBER`` of the archive at ``output``, and what is known of the archive (JSON) at ``record``.

    origin: API address of the archive's Zenodo record, or path of the archive; limits: dict with ``first_wait`` (s) and
    ``outage`` (hours). Raises RuntimeError, OSError or ValueError with one sentence.
    """
    with atomic_path(output) as temporary:
        if is_web_address(origin):
            archive = temporary.with_name(temporary.name + ".archive")
            try:
                about = fetch_from_record(origin, None, archive, limits, settings=(SETTING,))
                take_out(archive, temporary, about["url"])
                about = {"address": about["url"], "record": origin} | digests(archive, "md5")
            finally:
                archive.unlink(missing_ok=True)
        else:
            if not Path(origin).is_file():
                raise FileNotFoundError(f"{origin} is not there; check {SETTING}")
            take_out(origin, temporary, origin)
            about = {"address": str(origin)} | digests(origin, "md5")
        facts = {"member": MEMBER, "member_sha256": digests(temporary)["sha256"], "time": now()}
    save_record(record, about | facts)


def take_out(archive, target, name):
    """Write the one file of ``archive`` whose path ends in ``MEMBER`` to ``target``.

    name: of the archive, for sentences. Raises ValueError if it is no archive, or has no such file or several, or one
    that is a link, or one whose path leads out of the archive.
    """
    try:
        with _opened(archive, name) as (members, read):
            found = [member for member in members if PurePosixPath(member).parts[-4:] == PurePosixPath(MEMBER).parts]
            if len(found) != 1:
                raise ValueError(
                    f"{name} has {len(found)} files {MEMBER} where one is wanted; check {SETTING}, which asks for the "
                    f"archive of AIMIP's results"
                )
            path, plain = found[0], members[found[0]]
            if not plain or path.startswith("/") or ".." in PurePosixPath(path).parts:
                raise ValueError(
                    f"{name} has '{path}', which is a link or leads out of the archive: nothing of it is used; "
                    f"check {SETTING}"
                )
            with read(path) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
    except DAMAGE as error:
        raise ValueError(f"{name} is damaged ({type(error).__name__}: {error}); get it again") from error


@contextmanager
def _opened(archive, name):
    """({path in the archive: whether it is a plain file}, function that opens one) of a ZIP or a tar file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            # The upper half of the attributes is a Unix mode, of which 0o120000 is a link.
            yield (
                {
                    item.filename: not item.is_dir() and (item.external_attr >> 16) & 0o170000 != 0o120000
                    for item in opened.infolist()
                },
                opened.open,
            )
        return
    try:
        opened = tarfile.open(archive)
    except tarfile.ReadError as error:
        raise ValueError(f"{name} is neither a tar file nor a ZIP; check {SETTING}") from error
    with opened:
        yield {item.name: item.isreg() for item in opened.getmembers()}, opened.extractfile
        # The sum of all stands behind the last file, and is compared when that is read.
        while opened.fileobj.read(1 << 20):
            pass


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("--origin", required=True, help="API address of the Zenodo record, or path of the archive")
    parser.add_argument("--out", required=True, help="file to write, as it is in the archive")
    parser.add_argument("--record", required=True, help="record to write beside it, JSON")
    add_limits(parser)
    return program.run(
        parser, lambda given: download_results(given.out, given.record, given.origin, limits_of(given)), arguments
    )


if __name__ == "__main__":
    sys.exit(main())
