"""Check any AIMIP tree from its files alone.

    python -m workflow.scripts.check.submission PATH [--allow RULE] [--allow RULE=PATTERN] [--period 1978-10 2024-12]
        [--forcing FILE] [--no-cf] [--out NAME]
    python -m workflow.scripts.check.submission --rules

PATH holds an institution's folder, or is one. Each finding is one line: file, rule, value; the exit status is 1 if one
of them is not allowed. ``--allow`` names a known deviation, of all files or of those that match the pattern, and may
be repeated. ``--forcing`` adds one rule, sea-offset: where that file has ice-free open sea, ts of a warmed experiment
minus that of aimip is the experiment's offset; a foreign ts is not compared with the SST itself. Left out of a foreign
tree are daily files and the rules that need our own config. ``--out`` writes NAME.json, NAME.csv and NAME.html.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from workflow.scripts.check.across import check_across
from workflow.scripts.check.experiment import check_members
from workflow.scripts.check.files import locate
from workflow.scripts.check.outcome import write_outcome
from workflow.scripts.check.prescribed_sea import PrescribedSea
from workflow.scripts.check.rules import FURTHER_RULES, RULES, Report, expectation
from workflow.scripts.check.simulation import check_files
from workflow.scripts.common.faults import explained
from workflow.scripts.common.periods import PROTOCOL
from workflow.scripts.common.project import CMOR_FACTS
from workflow.scripts.submission.drs import FOLDERS
from workflow.scripts.submission.tree import netcdf_files


def tree_root(path):
    """(root, files) of a tree: the folder that holds the institution's, and all netCDF files of ``path`` below it.

    ``path`` is that folder or lies up to seven folders below it; where none of these has half of the files at the depth
    of a submission's, ``path`` is the root. Raises ValueError if there is no file.
    """
    files = netcdf_files(path)
    if not files:
        raise ValueError(f"{path} holds no .nc file")
    # Not resolved: in trees of links the names are those of the links.
    for root in (path, *list(path.absolute().parents)[: len(FOLDERS) - 1]):
        whole = files if root == path else [file.absolute() for file in files]
        depths = [len(file.relative_to(root).parts) - 1 for file in whole]
        if 2 * depths.count(len(FOLDERS)) >= len(depths):
            return root, whole
    return path, files


def check_tree(path, expected, forcing=None, allow=(), conformance=True):
    """Check every monthly file of a tree. Returns the summaries of its simulations and the Report."""
    root, files = tree_root(Path(path))
    simulations, whole = [], Report(tuple(allow))
    groups = defaultdict(list)
    for file in files:
        facets = locate(file, root).facets
        if facets is not None and facets["table_id"] == "day":
            continue  # daily output is optional and has other periods and names
        groups[tuple(facets[key] for key in FOLDERS[:4]) if facets else ("misplaced",)].append(file)
    for key, members in sorted(groups.items()):
        content, report = check_files(members, root, expected, None, allow, conformance)
        whole.merge(report)
        if len(key) > 1 and content["files"]:
            simulations.append(content)
    experiments = defaultdict(list)
    for simulation in simulations:
        experiments[simulation["institution_id"], simulation["source_id"], simulation["experiment"]].append(simulation)
    for each in experiments.values():
        whole.merge(check_members(each, None, allow))
    if simulations:
        whole.merge(check_across(simulations, root, forcing, allow, conformance))
    return simulations, whole


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="?", help="folder that holds an institution's folder, or one below it")
    parser.add_argument("--rules", action="store_true", help="list the rules by name and end")
    parser.add_argument("--allow", action="append", default=[], metavar="RULE[=PATTERN]", help="known deviation")
    parser.add_argument("--period", nargs=2, default=PROTOCOL, metavar="MONTH", help="first, last month")
    parser.add_argument("--forcing", help="monthly sst, siconc and lsm, for where to compare ts with aimip's")
    parser.add_argument("--no-cf", action="store_true", help="leave out the compliance checker and its plugin")
    parser.add_argument("--out", help="write NAME.json, NAME.csv and NAME.html", metavar="NAME")
    given = parser.parse_args(arguments)
    if given.rules or given.path is None:
        titles = {name: rule.title for name, rule in RULES.items()} | {
            name: row[1] for name, row in FURTHER_RULES.items()
        }
        for name, title in sorted(titles.items()):
            print(f"{name:<28} {title}")
        return 0
    try:
        expected = expectation(CMOR_FACTS, CMOR_FACTS / "ranges.csv", period=given.period)
        if given.forcing:
            PrescribedSea(given.forcing).dataset.close()  # a wrong one is named before all files are read
        simulations, report = check_tree(given.path, expected, given.forcing, given.allow, not given.no_cf)
    except (ValueError, OSError) as error:
        print(f"check_submission: {error}", file=sys.stderr)
        return 2
    for finding in report.findings:
        print(f"{'FAILED' if finding.gate else 'warning'} {finding}")
    for name, reason in report.left_out.items():
        print(f"left out {name}: {reason}")
    rules, files = len(report.checked), sum(len(simulation["files"]) for simulation in simulations)
    print(f"{rules} rules on {files} files of {len(simulations)} simulations: {len(report.gates)} findings")
    if given.out:
        try:
            write_outcome(simulations, report, *(f"{given.out}.{ending}" for ending in ("json", "csv", "html")))
        except OSError as error:
            problem = explained(error, f"{given.out}.json") or error
            print(f"check_submission: the outcome cannot be written to {given.out}: {problem}", file=sys.stderr)
            return 2
    return 1 if report.gates else 0


if __name__ == "__main__":
    sys.exit(main())
