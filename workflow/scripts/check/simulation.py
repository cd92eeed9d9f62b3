"""Check the CMOR files of one simulation, each read once; what they hold goes into a summary for the later checks.

The summary (JSON) has institution_id, source_id, experiment, member_id, sst_offset (K), ``sea`` (what the files state
beside the offset: sst_pattern, ice), the ``files`` (path, variable, grid, version, tracking_id, size, sha256 of the
file, sha256 of its values, mean by level) and the ``report`` of the rules. A finding that gates raises, so that no
summary is written.
"""

import json
import sys
from pathlib import Path

# Imported for the rules that they register.
from workflow.scripts.check import attributes, axes, names, sets, values  # noqa: F401
from workflow.scripts.check.conformance import cf_findings, prepare_findings
from workflow.scripts.check.files import read_files
from workflow.scripts.check.prescribed_sea import PrescribedSea, sea_findings
from workflow.scripts.check.rules import ASKED, RULES, Report, expectation
from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.checksums import digests
from workflow.scripts.common.experiments import named_offset, recorded_change, recorded_offset
from workflow.scripts.common.periods import PROTOCOL
from workflow.scripts.submission.cmor_python import cmor_python
from workflow.scripts.submission.drs import member_label

CF_RULE = "cf-conventions"
PREPARE_RULE = "prepare"
PERIOD_RULE = "protocol-period"
SEA_RULE = "prescribed-sea"
# Rules that need no more than the path, and those that need no more than the header.
PATH_RULES = {name for name, rule in RULES.items() if rule.function.__module__ == names.__name__}
VALUE_RULES = {name for name, rule in RULES.items() if rule.function.__module__ == values.__name__}
FILE_RULES = {name for name, rule in RULES.items() if rule.scope == "file"}
FIELD_RULES = {
    "single-precision",
    "fill-value",
    "compression",
    "standard-name",
    "units",
    "cell-methods",
    "long-name",
    "height",
    "dimensions",
    "levels",
}


def check_files(paths, root, expected, forcing=None, allow=(), conformance=True, tables=None):
    """Put every rule to the files of one simulation. Returns its summary and the Report.

    ``paths`` lie below ``root``, the folder that holds the institution. ``expected``: an Expectation.
    ``forcing``: the monthly forcing on the native grid, for ts over the prescribed sea; needs ``expected.settings``.
    ``conformance``: put the checks by others too. ``tables``: the folder of those CMOR wrote by, for PrePARE.
    """
    report = Report(tuple(allow))
    files, comparisons = read_files(sorted(paths), root)
    own = expected.settings is not None
    for file in files:
        report.apply("file", file.relative, file, expected, own=own, skip=_not_applicable(file, expected))
    sound = [file for file in files if file.facets is not None and not file.error]
    if sound:
        subject = "/".join(sound[0].relative.split("/")[:4])
        there = {file.variable for file in sound}
        absent = left_out_rules(expected, there) if own else {}
        report.apply("simulation", subject, sound, comparisons, expected, own=own, skip=set(absent))
        for name, reason in absent.items():
            report.leave_out(name, reason)
    unknown = ", ".join(values.without_range(expected))
    if own and unknown:
        for name in ("value-range", "mean-range"):
            report.leave_out(name, f"for {unknown}, of which config/cmor/ranges.csv has no range")
    if conformance:
        for path, message in cf_findings([file.path for file in sound]):
            report.add(CF_RULE, str(path.relative_to(root)), message)
        report.count(CF_RULE, len(sound))
        _check_prepared(report, sound, root, tables)
    else:
        for name in (CF_RULE, PREPARE_RULE):
            report.leave_out(name, "not asked for")
    if tuple(expected.period) == PROTOCOL:
        report.count(PERIOD_RULE)  # the rules on time and names hold every file to it
    else:
        report.leave_out(PERIOD_RULE, f"this simulation is one of {' to '.join(expected.period)}")
    if forcing is not None:
        _check_sea(report, sound, expected, forcing)
    return summary(sound), report


def left_out_rules(expected, there):
    """Rules on a simulation of our own that do not hold for its table of variables: {name: why}.

    ``there``: names of its variables. All rules hold for a submission by AIMIP's own table.
    """
    found = {}
    lacking = [" or ".join(names) for names in ASKED if not there & set(names)]
    if lacking and not set(expected.entries) - there:
        found["variables-complete"] = f"the table of variables leaves out {', '.join(lacking)}, which AIMIP asks for"
    for name, needed in (
        ("dewpoint-below-temperature", {"tas", "tdas"}),
        ("humidity-consistent", {"huss", "tdas", "ps"}),
    ):
        if needed - set(expected.entries):
            found[name] = f"the table of variables leaves out {', '.join(sorted(needed - set(expected.entries)))}"
    return found


def _not_applicable(file, expected):
    """Names of the rules that cannot be put to a file, because of what is wrong with it."""
    if file.facets is None:
        return FILE_RULES - {"layout", "name-parts"}
    if file.error:
        return FILE_RULES - PATH_RULES - {"readable"}
    skip = set()
    if file.variable not in expected.entries:
        skip |= VALUE_RULES | FIELD_RULES
    if file.variable not in file.variables:
        skip |= VALUE_RULES | FIELD_RULES
    if file.statistics is None:
        skip |= VALUE_RULES
    return skip


def _check_prepared(report, files, root, tables):
    if tables is None:
        report.leave_out(PREPARE_RULE, "it needs the tables that the files were written by, which are not here")
        return
    found = prepare_findings([file.path for file in files], tables)
    if found is None:
        report.leave_out(PREPARE_RULE, f"PrePARE: not installed, the CMOR of {cmor_python()} has none")
        return
    report.count(PREPARE_RULE, len(files))
    for path, message in found:
        report.add(PREPARE_RULE, str(path.relative_to(root)), message)


def _check_sea(report, files, expected, forcing):
    with PrescribedSea(forcing) as sea:
        reason = sea.left_out(expected.entries)
        if reason:
            report.leave_out(SEA_RULE, reason)
            return
        for file in files:
            if file.variable == "ts" and file.statistics is not None and file.statistics.months == len(expected.months):
                report.count(SEA_RULE)
                for message in sea_findings(file.path, sea, expected.settings["sst_offset"]):
                    report.add(SEA_RULE, file.relative, message)


def summary(files):
    """What later checks and the manifest need of a simulation, as a dict."""
    first = files[0].facets if files else {}
    histories = [str(file.attributes.get("history", "")) for file in files]
    stated = [recorded_offset(history) for history in histories]
    return {
        "institution_id": first.get("institution_id", ""),
        "source_id": first.get("source_id", ""),
        "experiment": first.get("experiment_id", ""),
        "member_id": first.get("member_id", ""),
        # What a file states goes before what the experiment's name lets guess; None where neither does.
        "sst_offset": next(
            (offset for offset in stated if offset is not None), named_offset(first.get("experiment_id", ""))
        ),
        "sea": next(filter(None, map(recorded_change, histories)), {}),
        "files": [
            {
                "path": file.relative,
                "variable": file.variable,
                "grid": file.grid,
                "version": file.facets["version"],
                "tracking_id": str(file.attributes.get("tracking_id", "")),
                **digests(file.path),  # size, sha256
                "data_sha256": file.statistics.digest.hexdigest() if file.statistics else "",
                "mean": file.area_mean().tolist() if file.statistics and file.statistics.months else [],
            }
            for file in files
        ],
    }


def check_simulation(submission, tables, facts, ranges, experiment, member, forcing, result):
    """Check one simulation of our own submission and write its summary to ``result``.

    ``submission``: the root, results/submission. ``tables``: folder of cmorize/tables.py for the experiment. ``facts``
    and ``ranges``: config/cmor and its ranges.csv. ``member``: its number. ``forcing``: monthly forcing on the native
    grid. Raises RuntimeError with the first finding.
    """
    root, expected = Path(submission), expectation(facts, ranges, tables)
    facets = expected.settings["attributes"]
    folder = root / facets["institution_id"] / facets["source_id"] / experiment / member_label(member)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    if not paths:
        raise RuntimeError(f"{folder} holds no file")
    content, report = check_files(paths, root, expected, forcing, tables=tables)
    report.log_and_raise()
    with atomic_path(result) as temporary:
        temporary.write_text(json.dumps({**content, "report": report.as_dict()}, indent=1) + "\n", encoding="utf-8")


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = program.command_line(__doc__)
    parser.add_argument("--submission", required=True, help="root of the submission, the folder with the institution's")
    parser.add_argument("--tables", required=True, help="folder that cmorize/tables.py wrote for the experiment")
    parser.add_argument("--facts", required=True, help="folder of the project's own MIP tables, config/cmor")
    parser.add_argument("--ranges", required=True, help="plausible values of each variable, config/cmor/ranges.csv")
    parser.add_argument("--forcing", required=True, help="monthly sst (K), siconc (1) and lsm (1) on the native grid")
    parser.add_argument("--experiment", required=True, help="aimip, aimip-p2k, ...")
    parser.add_argument("--member", required=True, type=int, help="realization, 1 for r1i1p1f1")
    parser.add_argument("--out", required=True, help="JSON file for the summary")
    return program.run(
        parser,
        lambda given: check_simulation(
            given.submission,
            given.tables,
            given.facts,
            given.ranges,
            given.experiment,
            given.member,
            given.forcing,
            given.out,
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
