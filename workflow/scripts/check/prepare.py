"""PrePARE, CMOR's own checker of finished files, put to files of one experiment.

    python -m workflow.scripts.check.prepare TABLES FILE...

runs under the Python that has CMOR and prints JSON: {file: what PrePARE finds wrong with it}, or null where this CMOR
has no PrePARE (it was removed in 3.13). PrePARE is meant for CMIP6, so it is given our tables (TABLES is a
folder of cmorize/tables.py) under CMIP6's names, and our further_info_url in place of the address at es-doc.org that it
would insist on.
"""

import argparse
import contextlib
import ctypes
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from workflow.scripts.common.mip_tables import MIP_TABLES, SUBMISSION, VOCABULARY, read_table
from workflow.scripts.submission.cmor_python import mend_interpreter

TABLES = (*MIP_TABLES, VOCABULARY)


def load_prepare():
    """PrePARE's module, or None where this CMOR has none."""
    mend_interpreter()
    try:
        from cmip6_cv.PrePARE import PrePARE
    except ImportError:
        return None
    PrePARE.BCOLORS = PrePARE.BColors()  # what its own main sets
    return PrePARE


def check_prepared(paths, tables):
    """Put PrePARE to files. Returns {path: its findings} of those that it does not take, None without PrePARE."""
    prepare = load_prepare()
    if prepare is None:
        return None
    import cmip6_cv

    url, found = read_table(tables, SUBMISSION)["attributes"]["further_info_url"], {}
    with tempfile.TemporaryDirectory() as renamed:
        for name in TABLES:
            shutil.copyfile(Path(tables, name), Path(renamed, name.replace("AIMIP_", "CMIP6_")))
        for path in paths:
            with printed() as text:
                checker = prepare.checkCMIP6(renamed)
                cmip6_cv.set_cur_dataset_attribute(cmip6_cv.GLOBAL_ATT_FURTHERINFOURLTMPL, url)
                try:
                    checker.ControlVocab(str(path), None, True, True)
                except KeyboardInterrupt:  # how PrePARE says that it found something
                    checker.errors = max(checker.errors, 1)
            if checker.errors:
                ours = text[0].replace(f"{renamed}/CMIP6_", f"{tables}/AIMIP_")
                found[str(path)] = reason(ours) or f"{checker.errors} errors"
    return found


@contextlib.contextmanager
def printed():
    """A list that ends with what was printed meanwhile, by CMOR's C library too, which says what is wrong."""
    flush, text, kept = ctypes.CDLL(None).fflush, [], [os.dup(1), os.dup(2)]
    sys.stdout.flush()
    flush(None)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield text
        finally:
            sys.stdout.flush()
            flush(None)
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            text.append(file.read().decode(errors="replace"))


def reason(text):
    """The errors in what PrePARE and CMOR printed, each once, in one line without colors and frames."""
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m|[=!\s]+", " ", text).split())
    errors = re.findall(r"Error: (.*?)(?= C Traceback:| └|$)", plain)
    return " ".join(dict.fromkeys(errors)) or plain


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, help="folder that cmorize/tables.py wrote for the experiment")
    parser.add_argument("files", nargs="+", help="finished files")
    given = parser.parse_args(arguments)
    print(json.dumps(check_prepared(given.files, given.tables)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
