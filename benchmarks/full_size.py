"""What a whole run cost, rule by rule, as Snakemake measured it, and how that agrees with workflow/rules.csv.

    python benchmarks/full_size.py FOLDER

FOLDER is where the workflow ran, such as one with config/presets/full_size.yaml. The table has of each rule the jobs,
the processor seconds of all and of the median job, the peak memory of the largest, and of rules in workflow/rules.csv
the median job's seconds and the largest memory over those there. Below it stands what the stages hold on disk.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from workflow.growth import read_rules


def measured(folder):
    """Rule -> arrays (processor seconds, peak MB) of its jobs, from the records in FOLDER/benchmarks.

    Rules of blocks count as one, as in workflow/cost.py. Raises ValueError if there is no record.
    """
    root, found = Path(folder, "benchmarks"), {}
    for path in sorted(root.rglob("*.tsv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                name = path.relative_to(root).parts[0].removesuffix(".tsv")
                # Snakemake writes - or NA of a job too short to be looked at.
                numbers = [float(row[key]) if row[key] not in ("-", "NA") else 0.0 for key in ("cpu_time", "max_rss")]
                found.setdefault(name, []).append(numbers)
    if not found:
        raise ValueError(f"'{folder}' has no benchmarks/*.tsv; name the folder that the workflow ran in")
    return {name: np.array(rows).T for name, rows in found.items()}


def sizes(folder):
    """Stage -> GB on disk of FOLDER/results/STAGE; a file with several names counts once."""
    found = {}
    for stage in sorted(path for path in Path(folder, "results").iterdir() if path.is_dir()):
        files = {path.stat().st_ino: path.stat().st_size for path in stage.rglob("*") if path.is_file()}
        found[stage.name] = sum(files.values()) / 1e9
    return found


def table(folder):
    """The tables in Markdown, as lines."""
    rules = read_rules()
    lines = [
        "| rule | jobs | processor seconds: all, a job | peak memory, MB | seconds, memory over rules.csv |",
        "|---|---|---|---|---|",
    ]
    rows = sorted(measured(folder).items(), key=lambda row: -row[1][0].sum())
    for name, (seconds, memory) in rows:
        known = ""
        if name in rules:
            time, most = np.median(seconds) / rules[name]["seconds"], memory.max() / rules[name]["megabytes"]
            known = f"{time:.2f}, {most:.2f}"
        cost = f"{seconds.sum():.0f}, {np.median(seconds):.1f}"
        lines.append(f"| {name} | {len(seconds)} | {cost} | {memory.max():.0f} | {known} |")
    total = sum(seconds.sum() for _, (seconds, _) in rows)
    lines.append(f"| all | {sum(len(seconds) for _, (seconds, _) in rows)} | {total:.0f} | | |")
    return [
        *lines,
        "",
        "| stage | GB |",
        "|---|---|",
        *(f"| {name} | {gb:.1f} |" for name, gb in sizes(folder).items()),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where the workflow ran")
    try:
        print("\n".join(table(parser.parse_args().folder)))
    except ValueError as problem:
        sys.exit(f"full_size: {problem}")
