"""Check the experiments of a submission against each other, from the summaries that check/simulation.py left.

The program closes the checks of our own submission: it takes what check/experiment.py wrote for each experiment and
writes the outcome of all checks. A finding that gates raises, so that no outcome is written.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from workflow.scripts.check import sets  # noqa: F401 (registers its rules)
from workflow.scripts.check.conformance import NO_VOCABULARY, vocabulary_installed, wcrp_findings, wcrp_installed
from workflow.scripts.check.outcome import write_outcome
from workflow.scripts.check.prescribed_sea import PrescribedSea, sea_findings
from workflow.scripts.check.rules import Report
from workflow.scripts.common import program
from workflow.scripts.common.experiments import CONTROL

SEA_RULE = "sea-offset"
STRUCTURE_RULE = "cmip6-structure"
VOCABULARY_RULE = "cmip6-vocabulary"


def check_across(simulations, root, forcing=None, allow=(), conformance=True, changed=()):
    """Put the rules on a submission to the summaries of all its simulations. Returns a Report.

    ``forcing``: of aimip, and of every experiment that differs by an offset. ``changed``: of the others, files called
    by their experiments; without its file such an experiment is not compared with aimip's sea.
    """
    report = Report(tuple(allow))
    report.apply("submission", str(root.name), simulations, own=True)
    if conformance:
        _check_structure(report, simulations, root)
    else:
        for name in (STRUCTURE_RULE, VOCABULARY_RULE):
            report.leave_out(name, "not asked for")
    if forcing is not None:
        with PrescribedSea(forcing) as sea:
            reason = sea.left_out({file["variable"] for simulation in simulations for file in simulation["files"]})
            if reason:
                report.leave_out(SEA_RULE, reason)
                return report
        own = {Path(path).stem: path for path in changed}
        for experiment, pairs in _pairs(simulations, own).items():
            with PrescribedSea(own.get(experiment, forcing), forcing) as sea:
                for path, control, offset in pairs:
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


def _pairs(simulations, changed):
    """{experiment: (path, path of aimip's, offset in K) of each ts that has its like in aimip}, without aimip.

    Of an experiment whose files state more than an offset, where ``changed`` has its forcing.
    """
    found = defaultdict(list)
    known = [one for one in simulations if not one["sea"] or one["experiment"] in changed]
    files = {
        (simulation["experiment"], simulation["member_id"], file["grid"]): (file["path"], simulation["sst_offset"])
        for simulation in known
        for file in simulation["files"]
        if file["variable"] == "ts" and file["data_sha256"]
    }
    for (experiment, member, grid), (path, offset) in sorted(files.items()):
        if experiment != CONTROL and offset is not None and (CONTROL, member, grid) in files:
            found[experiment].append((path, files[CONTROL, member, grid][0], offset))
    return found


def check_submission(experiments, submission, forcing, result, table, page, changed=()):
    """Check the experiments of our own submission together and write the outcome of all checks.

    ``experiments``: what check/experiment.py wrote. ``submission``: the root, results/submission. ``forcing``: monthly
    forcing on the native grid; ``changed``: as of ``check_across``. ``result``: JSON with every file and finding;
    ``table``: CSV, one row per rule; ``page``: the same as HTML for the report. Raises RuntimeError with the first
    finding.
    """
    contents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in experiments]
    simulations = [simulation for content in contents for simulation in content["simulations"]]
    report = check_across(simulations, Path(submission), forcing, changed=changed)
    report.log_and_raise()
    whole = Report()
    for content in contents:
        whole.merge(content["report"])
    whole.merge(report)
    write_outcome(simulations, whole, result, table, page)


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = program.command_line(__doc__)
    parser.add_argument(
        "--experiments", required=True, nargs="+", metavar="FILE", help="what check/experiment.py wrote, one file each"
    )
    parser.add_argument("--submission", required=True, help="root of the submission, the folder with the institution's")
    parser.add_argument("--forcing", required=True, help="monthly sst (K), siconc (1) and lsm (1) on the native grid")
    parser.add_argument(
        "--changed",
        nargs="*",
        default=[],
        metavar="FILE",
        help="the same of experiments with own forcing, EXPERIMENT.nc",
    )
    parser.add_argument("--out", required=True, help="JSON file with every file and finding")
    parser.add_argument("--table", required=True, help="CSV file with one row per rule")
    parser.add_argument("--page", required=True, help="HTML file with rules and findings")
    return program.run(
        parser,
        lambda given: check_submission(
            given.experiments,
            given.submission,
            given.forcing,
            given.out,
            given.table,
            given.page,
            changed=given.changed,
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
