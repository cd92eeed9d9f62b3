"""Check the experiments of a submission against each other; as a program, check any AIMIP tree from its files alone.

    python workflow/scripts/check/submission.py PATH [--allow RULE] [--allow RULE=PATTERN] [--period 1978-10 2024-12]
        [--forcing FILE] [--no-cf] [--out NAME]
    python workflow/scripts/check/submission.py --rules

PATH holds an institution's folder, or is one. Each finding is one line: file, rule, value; the exit status is 1 if one
of them is not allowed. ``--allow`` names a known deviation, of all files or of those that match the pattern, and may
be repeated. ``--forcing`` adds one rule, sea-offset: where that file has ice-free open sea, ts of a warmed experiment
minus that of aimip is the experiment's offset; a foreign ts is not compared with the SST itself. Left out of a foreign
tree are daily files and the rules that need our own config. ``--out`` writes NAME.json, NAME.csv and NAME.html.
"""

import argparse
import csv
import html
import json
import logging
import sys
from collections import defaultdict
from pathlib import Path

from workflow.scripts.check.conformance import (
    NO_VOCABULARY,
    NOT_PUT,
    vocabulary_installed,
    wcrp_findings,
    wcrp_installed,
)
from workflow.scripts.check.experiment import check_members
from workflow.scripts.check.files import locate
from workflow.scripts.check.prescribed_sea import PrescribedSea, sea_findings
from workflow.scripts.check.rules import FURTHER_RULES, RULES, Report, expectation
from workflow.scripts.check.simulation import check_files
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.experiments import CONTROL
from workflow.scripts.common.project import CMOR_FACTS
from workflow.scripts.submission.drs import FOLDERS

SEA_RULE = "sea-offset"
STRUCTURE_RULE = "cmip6-structure"
VOCABULARY_RULE = "cmip6-vocabulary"


def check_across(simulations, root, forcing=None, allow=(), conformance=True):
    """Put the rules on a submission to the summaries of all its simulations. Returns a Report."""
    report = Report(tuple(allow))
    report.apply("submission", str(root.name), simulations, own=True)
    if conformance:
        _check_structure(report, simulations, root)
    else:
        for name in (STRUCTURE_RULE, VOCABULARY_RULE):
            report.leave_out(name, "not asked for")
    if forcing is not None:
        with PrescribedSea(forcing) as sea:
            for path, control, offset in _pairs(simulations):
                report.count(SEA_RULE)
                for message in sea_findings(root / path, sea, offset, root / control):
                    report.add(SEA_RULE, path, message)
    return report


def _check_structure(report, simulations, root):
    """Put cc-plugin-wcrp's checks to one file of each variable and grid: the others were written by the same code.

    What it looks up in the vocabulary only warns: others edit that, and the workflow pins no version of it.
    """
    if not wcrp_installed():
        for name in (STRUCTURE_RULE, VOCABULARY_RULE):
            report.leave_out(name, "cc-plugin-wcrp: not installed")
        return
    files = {}
    for simulation in simulations:
        for file in simulation["files"]:
            files.setdefault((file["variable"], file["grid"]), root / file["path"])
    report.count(STRUCTURE_RULE, len(files))
    if vocabulary_installed():
        report.count(VOCABULARY_RULE, len(files))
    else:
        report.leave_out(VOCABULARY_RULE, NO_VOCABULARY)
    for path, message, looked_up in wcrp_findings(files.values()):
        name = VOCABULARY_RULE if looked_up else STRUCTURE_RULE
        report.add(name, str(path.relative_to(root)), message, gate=not looked_up)


def _pairs(simulations):
    """(path, path of aimip's, offset in K) of each ts of another experiment that has its like in aimip."""
    files = {
        (simulation["experiment"], simulation["member_id"], file["grid"]): (file["path"], simulation["sst_offset"])
        for simulation in simulations
        for file in simulation["files"]
        if file["variable"] == "ts" and file["data_sha256"]
    }
    for (experiment, member, grid), (path, offset) in sorted(files.items()):
        if experiment != CONTROL and offset is not None and (CONTROL, member, grid) in files:
            yield path, files[CONTROL, member, grid][0], offset


def check_submission(experiments, submission, forcing, result, table, page, allow=()):
    """Check the experiments of our own submission together and write the outcome of all checks.

    ``experiments``: what check/experiment.py wrote. ``submission``: the root, results/submission. ``forcing``: monthly
    forcing on the native grid. ``result``: JSON with every file and finding; ``table``: CSV, one row per rule;
    ``page``: the same as HTML for the report. Raises RuntimeError with the first finding.
    """
    contents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in experiments]
    simulations = [simulation for content in contents for simulation in content["simulations"]]
    report = check_across(simulations, Path(submission), forcing, allow)
    for finding in report.findings:
        (logging.error if finding.gate else logging.warning)("%s", finding)
    report.raise_on_gates()
    whole = Report()
    for content in contents:
        whole.merge(content["report"])
    whole.merge(report)
    write_outcome(simulations, whole, result, table, page)


def write_outcome(simulations, report, result, table, page):
    """Write a report as JSON with the files it is about, as CSV and as a page, each with one row per rule.

    JSON and page also have every finding with its file, rule and value.
    """
    rows = report.table()
    with atomic_path(result) as temporary:
        content = {"simulations": simulations, "rules": rows, "report": report.as_dict()}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with atomic_path(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with atomic_path(page) as temporary:
        temporary.write_text(_page(simulations, rows, report), encoding="utf-8")


STYLE = """
body { font-family: sans-serif; margin: 2em auto; max-width: 75em; color: #222 }
table { border-collapse: collapse; margin-bottom: 2em } td, th { padding: .25em .8em; border-bottom: 1px solid #ccc;
text-align: left; vertical-align: top } td.number { text-align: right } tr.failed { background: #fbd5d0 }
tr.warned { background: #fdf0c4 } tr.left_out { color: #777 } td { overflow-wrap: break-word }
"""


def _page(simulations, rows, report):
    files = sum(len(simulation["files"]) for simulation in simulations)
    names = sorted({f"{each['institution_id']}/{each['source_id']}" for each in simulations if "source_id" in each})
    rules = _html_table(
        ("rule", "of a", "what it asks for", "checked", "failed", "warned"),
        [(_cells(row), next((kind for kind in ("failed", "warned", "left_out") if row[kind]), "")) for row in rows],
    )
    left = [([row["rule"], row["left_out"]], "") for row in rows if row["left_out"]]
    left += [([f"cmip6-structure: {pattern}", reason], "") for pattern, reason in NOT_PUT]
    found = [
        ([finding.subject, finding.rule, finding.message], "failed" if finding.gate else "warned")
        for finding in sorted(report.findings, key=lambda finding: not finding.gate)
    ]
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Checks of the submission</title>"
        f"<style>{STYLE}</style></head><body><h1>Checks of the submission {html.escape(', '.join(names))}</h1>"
        f"<p>{len(rows)} rules on {files} files of {len(simulations)} simulations: {len(report.gates)} findings stop "
        f"the submission, {len(report.findings) - len(report.gates)} are warnings.</p><h2>Findings</h2>"
        + (_html_table(("file or folder", "rule", "what and which value"), found) if found else "<p>None.</p>")
        + f"<h2>Rules</h2>{rules}<h2>Left out</h2>{_html_table(('rule, or check of it', 'why'), left)}</body></html>\n"
    )


def _cells(row):
    title = f"{row['title']} (left out, see below)" if row["left_out"] else row["title"]
    return [row["rule"], row["scope"], title, row["checked"], row["failed"], row["warned"]]


def _html_table(head, rows):
    """An HTML table; ``rows``: (cells, class of the row)."""

    def cell(value, kind="td"):
        number = " class='number'" if isinstance(value, int) else ""
        return f"<{kind}{number}>{html.escape(str(value))}</{kind}>"

    lines = [f"<tr>{''.join(cell(each, 'th') for each in head)}</tr>"]
    lines += [f"<tr class='{name}'>{''.join(map(cell, cells))}</tr>" for cells, name in rows]
    return f"<table>{''.join(lines)}</table>"


# Any AIMIP tree.


def tree_root(path):
    """The folder that holds the institution's, for a PATH that is it or lies up to seven folders below it."""
    files = sorted(path.rglob("*.nc"))
    if not files:
        raise ValueError(f"{path} holds no .nc file")
    for root in (path, *list(path.resolve().parents)[: len(FOLDERS) - 1]):
        resolved = files if root == path else [file.resolve() for file in files]
        depths = [len(file.relative_to(root).parts) - 1 for file in resolved]
        if 2 * depths.count(len(FOLDERS)) >= len(depths):
            return root, resolved
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, nargs="?", help="folder that holds an institution's folder, or one below it")
    parser.add_argument("--rules", action="store_true", help="list the rules by name and end")
    parser.add_argument("--allow", action="append", default=[], metavar="RULE[=PATTERN]", help="known deviation")
    parser.add_argument("--period", nargs=2, default=("1978-10", "2024-12"), metavar="MONTH", help="first, last month")
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
        write_outcome(simulations, report, *(f"{given.out}.{ending}" for ending in ("json", "csv", "html")))
    return 1 if report.gates else 0


if __name__ == "__main__":
    if "snakemake" in globals():
        from workflow.scripts.common import runlog

        runlog.start(snakemake.log[0])
        check_submission(
            list(snakemake.input.experiments),
            snakemake.params.submission,
            snakemake.input.forcing,
            snakemake.output.result,
            snakemake.output.table,
            snakemake.output.page,
        )
    else:
        sys.exit(main())
