"""Lets the programs here run as modules too: `python -m workflow.scripts.check_submission PATH`."""

import sys
from pathlib import Path

# The scripts import each other by their plain names, as Snakemake runs them.
sys.path.insert(0, str(Path(__file__).parent))
