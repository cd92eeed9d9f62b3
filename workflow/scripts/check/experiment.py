"""Check the members of one experiment against each other, from the summaries that check/simulation.py left."""

import json
import sys
from pathlib import Path

from workflow.scripts.check import sets  # noqa: F401 (registers its rules)
from workflow.scripts.check.rules import Report
from workflow.scripts.common import program
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.submission.drs import member_label


def check_members(simulations, members=None, allow=()):
    """Put the rules on an experiment to the summaries of its simulations. Returns a Report."""
    report = Report(tuple(allow))
    first = simulations[0]
    subject = "/".join((first["institution_id"], first["source_id"], first["experiment"]))
    report.apply("experiment", subject, simulations, members, own=True)
    return report


def check_experiment(simulations, members, result):
    """Check an experiment of ``members`` members and write ``result``: the summaries' files and the report so far.

    ``simulations``: paths of the summaries. Raises RuntimeError with the first finding.
    """
    summaries = [json.loads(Path(path).read_text(encoding="utf-8")) for path in simulations]
    report = check_members(summaries, members)
    report.log_and_raise()
    whole = Report()
    for each in summaries:
        whole.merge(each.pop("report"))
    whole.merge(report)
    with atomic_path(result) as temporary:
        content = {"simulations": summaries, "report": whole.as_dict()}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main(arguments=None):
    """Command line; returns the exit status."""
    parser = program.command_line(__doc__)
    parser.add_argument(
        "--folder", required=True, type=Path, help="folder of the summaries r1i1p1f1.json, r2i1p1f1.json, ..."
    )
    parser.add_argument("--members", required=True, type=int, help="how many members the experiment has")
    parser.add_argument("--out", required=True, help="JSON file for the summaries and the report of all rules so far")
    return program.run(
        parser,
        lambda given: check_experiment(
            [given.folder / f"{member_label(member)}.json" for member in range(1, given.members + 1)],
            given.members,
            given.out,
        ),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
