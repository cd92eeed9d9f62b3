"""Print the scorecard and where the report is: the last words of ``make demo``.

Run as ``python workflow/scripts/evaluate/scorecard/closing.py results/evaluate/scorecard.txt report.html``.
"""

import sys
from pathlib import Path


def closing_words(scorecard, report):
    """Text of the scorecard file and the absolute path of the report; raises ValueError if one of them is not there."""
    for path, cure in ((scorecard, "run the target 'evaluation'"), (report, "run snakemake --report")):
        if not Path(path).is_file():
            raise ValueError(f"{path} is not there: {cure} first")
    return f"{Path(scorecard).read_text(encoding='utf-8')}\nReport: {Path(report).resolve()}"


if __name__ == "__main__":
    try:
        print(closing_words(*sys.argv[1:]))
    except (TypeError, ValueError) as error:
        sys.exit(f"print_scorecard: {error}")
