"""Print the scorecard and where the report is: the last words of ``make demo``."""

import sys
from pathlib import Path

from workflow.scripts.common import program


def closing_words(scorecard, report):
    """Text of the scorecard file and the absolute path of the report; raises ValueError if one of them is not there."""
    for path, cure in ((scorecard, "run the target 'evaluation'"), (report, "run snakemake --report")):
        if not Path(path).is_file():
            raise ValueError(f"{path} is not there: {cure} first")
    return f"{Path(scorecard).read_text(encoding='utf-8')}\nReport: {Path(report).resolve()}"


def main(arguments=None):
    """Command line."""
    parser = program.command_line(__doc__)
    parser.add_argument("scorecard", help="scorecard as text")
    parser.add_argument("report", help="report, HTML")
    return program.run(parser, lambda given: print(closing_words(given.scorecard, given.report)), arguments)


if __name__ == "__main__":
    sys.exit(main())
