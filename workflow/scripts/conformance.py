"""Checks by others, on many files in one process and without a network.

The IOOS compliance checker tests a file against CF; its plugin cc-plugin-wcrp tests it against CMIP6's conventions,
but for what ``NOT_PUT`` lists with the reason.
"""

import logging
import re
import warnings
from importlib.metadata import entry_points

CF = "cf:1.7"
WCRP = "wcrp_cmip6"

# Checks of cc-plugin-wcrp 2.3.5 whose outcome says nothing here: (pattern of their names or messages, why not).
ONLINE = "the vocabulary (esgvoc) is a download, and holds neither AIMIP's experiments nor this model"
NOT_PUT = (
    (r"vocabulary check|Vocabulary Check", ONLINE),
    (r"Variable Registry|registry expected-term check", ONLINE),
    (r"\[ATTR007[ab]\]|\[ATTR009\]|\[ATTR010\]", ONLINE),
    (r"\[PATH00[12]\]", "the tree starts at the institution, as AIMIP asks, not at a folder cmip6"),
    (r"attribute 'cell_measures'", "no cell areas are published with the submission, so nothing can be named"),
)
# Not put at all: the checks wcrp_data, which read all values of a file at once; checks_values.py does it in slabs.


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
    """Check files against CMIP6 by cc-plugin-wcrp, but for ``NOT_PUT``. Yields (path, sentence)."""
    for path, message in _findings(paths, WCRP, _wcrp_checker()):
        if not any(re.search(pattern, message) for pattern, _ in NOT_PUT):
            yield path, message


def wcrp_installed():
    """True if cc-plugin-wcrp is there."""
    return bool(entry_points(group="compliance_checker.suites", name="plugin_cmip6"))


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
