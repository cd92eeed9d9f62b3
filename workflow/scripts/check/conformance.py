"""Checks by others, on many files in one process and without a network.

The IOOS compliance checker tests a file against CF; its plugin cc-plugin-wcrp tests it against CMIP6's conventions and,
where esgvoc's vocabulary is installed, against that; PrePARE, which belongs to CMOR, runs under CMOR's Python.
"""

import contextlib
import json
import logging
import os
import re
import subprocess
import tempfile
import warnings
from importlib.metadata import entry_points
from pathlib import Path

from workflow.scripts.common.project import ROOT
from workflow.scripts.submission.cmor_python import cmor_python

CF = "cf:1.7"
WCRP = "wcrp_cmip6"

# Checks of cc-plugin-wcrp 2.3.5 whose outcome says nothing here: (pattern of their name and message, why not).
NOT_CMIP6 = "AIMIP's experiments, its license and its models are none of CMIP6's"
NOT_PUT = (
    (r"'(activity_id|experiment_id|institution|institution_id|source_id|license)' vocabulary check", NOT_CMIP6),
    (r"\[ATTR007[ab]\]|\[ATTR009\]|\[ATTR010\]", NOT_CMIP6),
    (r"'parent_variant_label' vocabulary check", "a run without a parent says 'no parent', which the plugin mistakes"),
    (r"\[FILE001\]", "the names hold AIMIP's experiment and the model, which are none of CMIP6's"),
    (r"\[PATH00[12]\]", "the tree starts at the institution, as AIMIP asks, not at a folder cmip6"),
    (r"Amon\.tdas|Variable 'tdas' .*registry|\['tdas'\]", "AIMIP asks for tdas, a name that CMIP6 does not have"),
    (r"attribute 'cell_measures'", "no cell areas are published with the submission, so nothing can be named"),
)
# Not put at all: the checks wcrp_data, which read all values of a file at once; check/values.py does it in slabs.

# Checks that look something up in the vocabulary: put where it is installed.
LOOKED_UP = r"vocabulary check|Variable Registry|registry expected-term check"
NO_VOCABULARY = (
    "the vocabulary is not installed: `esgvoc use universe@latest cmip6@latest` downloads it to the home folder, or, "
    "for a user without one to write to, to that which ESGVOC_HOME names; until then all checks of cc-plugin-wcrp are "
    "put but for those that look something up in it"
)


def cf_findings(paths):
    """Check files against CF 1.7. Yields (path, sentence) for everything the checker does not pass.

    Raises OSError if the compliance checker is not installed.
    """
    try:
        from compliance_checker.cf.cf_1_7 import CF1_7Check
    except ImportError as error:
        raise OSError(f"the CF check needs the package compliance-checker ({error}): pip install it") from error
    yield from _findings(paths, CF, CF1_7Check())


def wcrp_findings(paths):
    """Check files against CMIP6 by cc-plugin-wcrp, but for ``NOT_PUT``. Yields (path, sentence, looked up).

    The last is True for what was looked up in the vocabulary; there is none of it where ``vocabulary_installed`` is
    False.
    """
    vocabulary = vocabulary_installed()
    with contextlib.nullcontext() if vocabulary else _empty_vocabulary():
        found = list(_findings(paths, WCRP, _wcrp_checker()))
    for path, message in found:
        looked_up = bool(re.search(LOOKED_UP, message))
        if (vocabulary or not looked_up) and not any(re.search(pattern, message) for pattern, _ in NOT_PUT):
            yield path, message, looked_up


def wcrp_installed():
    """True if cc-plugin-wcrp is there."""
    return bool(entry_points(group="compliance_checker.suites", name="plugin_cmip6"))


def vocabulary_installed():
    """True if esgvoc is there and has databases of CMIP6 and of its universe, both of which the plugin asks.

    False too where it cannot look, as for a user who has no home folder or must not write to it; the log says why.
    """
    try:
        from esgvoc.api import get_active_database_info

        return all(get_active_database_info(name) for name in ("cmip6", "universe"))
    except ImportError:
        return False
    except (OSError, RuntimeError, KeyError) as error:
        logging.warning("esgvoc cannot look for its vocabulary: %s", error)
        return False


@contextlib.contextmanager
def _empty_vocabulary():
    """Let esgvoc look into an empty folder: in a home that it cannot use, it fails in the plugin's midst."""
    kept = {name: os.environ.get(name) for name in ("ESGVOC_HOME", "ESGVOC_DB_DIR")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(kept, folder)
        try:
            yield
        finally:
            for name, value in kept.items():
                del os.environ[name]
                if value is not None:
                    os.environ[name] = value


def prepare_findings(paths, tables):
    """Put PrePARE to files of one experiment, under CMOR's Python. Returns [(path, sentence)], None without PrePARE.

    ``tables``: folder of cmorize/tables.py. Raises RuntimeError if the program itself fails.
    """
    program = [cmor_python(), "-m", "workflow.scripts.check.prepare"]
    done = subprocess.run(
        [*program, tables, *paths],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"PrePARE under {cmor_python()} ended with status {done.returncode}: {last}")
    found = json.loads(done.stdout)
    return None if found is None else [(Path(path), message) for path, message in found.items()]


def _wcrp_checker():
    (entry,) = entry_points(group="compliance_checker.suites", name="plugin_cmip6")
    return entry.load()()


def _findings(paths, name, checker):
    from compliance_checker.suite import CheckSuite

    suite = CheckSuite()
    # One checker for all files: each new one would parse CF's standard name table again.
    suite.checkers = {name: lambda options=None: checker}
    logging.getLogger("compliance_checker").setLevel(logging.ERROR)
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = suite.load_dataset(str(path))
            try:
                results, errors = suite.run_all(dataset, [name], None, [])[name]
            finally:
                dataset.close()
        for result in results:
            passed, of = result.value if isinstance(result.value, tuple) else (bool(result.value), True)
            if passed < of:
                yield path, f"{result.name}: {'; '.join(result.msgs) or 'not passed'}"
        for check, (error, _) in (errors or {}).items():
            yield path, f"the check {check} itself failed: {error}"
