"""What tests of the checks share: the rules put to a made simulation, and what of it a report names."""

from tests.helpers import submission_files
from workflow.scripts.check.rules import expectation
from workflow.scripts.check.simulation import check_files

MODEL = "UMD-PARETO/MD-1p5"
RANGES = submission_files.FACTS / "ranges.csv"


def check(work, paths=None, conformance=False, **options):
    """Summary and report of the files of the copy, all or those in ``paths``."""
    expected = expectation(submission_files.FACTS, RANGES, submission_files.tree() / "tables/aimip")
    root = work / "submission"
    paths = paths or [path for path in root.rglob("*") if path.is_file()]
    return check_files(
        paths, root, expected, submission_files.tree() / "forcing.nc", conformance=conformance, **options
    )


def named(report, rule, subject, value):
    """True if a finding that gates names the rule, the file and the value."""
    return any(
        finding.rule == rule and subject in finding.subject + finding.message and value in finding.message
        for finding in report.gates
    )
