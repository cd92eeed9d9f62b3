"""Check the members of one experiment against each other, from the summaries that check/simulation.py left."""

import json
import logging
from pathlib import Path

from workflow.scripts.check import sets  # noqa: F401 (registers its rules)
from workflow.scripts.check.rules import Report
from workflow.scripts.common.atomic import atomic_path


def check_members(simulations, members=None, allow=()):
    """Put the rules on an experiment to the summaries of its simulations. Returns a Report."""
    report = Report(tuple(allow))
    first = simulations[0]
    subject = "/".join((first["institution_id"], first["source_id"], first["experiment"]))
    report.apply("experiment", subject, simulations, members, own=True)
    return report


def check_experiment(simulations, members, result, allow=()):
    """Check an experiment of ``members`` members and write ``result``: the summaries' files and the report so far.

    ``simulations``: paths of the summaries. Raises RuntimeError with the first finding.
    """
    summaries = [json.loads(Path(path).read_text(encoding="utf-8")) for path in simulations]
    report = check_members(summaries, members, allow)
    for finding in report.findings:
        (logging.error if finding.gate else logging.warning)("%s", finding)
    report.raise_on_gates()
    whole = Report()
    for each in summaries:
        whole.merge(each.pop("report"))
    whole.merge(report)
    with atomic_path(result) as temporary:
        content = {"simulations": summaries, "report": whole.as_dict()}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from workflow.scripts.common import runlog

    runlog.start(snakemake.log[0])
    check_experiment(list(snakemake.input.simulations), snakemake.params.members, snakemake.output[0])
