"""PrePARE, CMOR's own checker of finished files, on the files of one simulation; runs under CMOR's Python.

CMOR 3.7 has it, newer ones do not. It is meant for CMIP6, so it is given our tables under CMIP6's names, and our
further_info_url in place of the address at es-doc.org that it would insist on.
"""

import contextlib
import io
import re
import shutil
from pathlib import Path

TABLES = ("Amon", "coordinate", "formula_terms", "CV")


def load_prepare():
    """PrePARE's module, or None where this CMOR has none. Call cmorize.mend_interpreter first."""
    try:
        from cmip6_cv.PrePARE import PrePARE
    except ImportError:
        return None
    PrePARE.BCOLORS = PrePARE.BColors()  # what its own main sets
    return PrePARE


def check_prepared(paths, tables, further_info_url, folder):
    """Put PrePARE to files. Returns how many it took, None where this CMOR has no PrePARE.

    RuntimeError names the first file that it does not take, and why. ``tables``: folder of cmor_tables.py; ``folder``:
    for copies of them under the names that PrePARE wants. Its libraries print to standard error, which the caller sends
    to a log.
    """
    prepare = load_prepare()
    if prepare is None:
        return None
    import cmip6_cv

    renamed = Path(folder) / "prepare"
    renamed.mkdir()
    for name in TABLES:
        shutil.copyfile(Path(tables) / f"AIMIP_{name}.json", renamed / f"CMIP6_{name}.json")
    for path in paths:
        checker = prepare.checkCMIP6(str(renamed))
        cmip6_cv.set_cur_dataset_attribute(cmip6_cv.GLOBAL_ATT_FURTHERINFOURLTMPL, further_info_url)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                checker.ControlVocab(str(path), None, True, True)
            except KeyboardInterrupt:  # how PrePARE says that it found something
                checker.errors = max(checker.errors, 1)
        if checker.errors:
            reason = " ".join(re.sub(r"[=\s]+", " ", printed.getvalue()).split())
            raise RuntimeError(f"PrePARE finds {checker.errors} errors in {Path(path).name}: {reason}")
    return len(paths)
