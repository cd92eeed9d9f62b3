"""Scores of several training seeds, since those of one say little: a scorecard of medians over seeds with their range.

    python benchmarks/seeds.py --config config/demo.yaml --seeds 3 --folder /tmp/seeds [-- SNAKEMAKE_OPTIONS..]

Seeds are the config's ``seed`` and the numbers that follow it. Everything that does not depend on the training, from
the downloads to the reference's statistics, is made once in FOLDER/shared; FOLDER/seed-N holds it as hard links, with
Snakemake's records of it, and what that seed adds. Both are ordinary folders of the workflow, so a second call goes on
where the first was stopped, and after a change of code or config reruns what the change touches. Prints the median over
seeds of each line's median member with the lowest and the highest seed, and writes it to FOLDER/seeds.txt and .json.
Seeds whose run fails, as where a model leaves the physical bounds, are named above the table and are not in it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from workflow.overlays import merged_config
from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.evaluate.scorecard.layout import format_table

ROOT = Path(__file__).resolve().parents[1]
RECORDS = Path(".snakemake/metadata")


def read_config(overlays):
    """The config of ``overlays`` (paths), as ``merged_config``.

    Raises ValueError if a checkpoint takes the place of training: then seeds have nothing to train.
    """
    config = merged_config(overlays)
    if config["model"].get("checkpoint"):
        raise ValueError(
            f"'model.checkpoint' is '{config['model']['checkpoint']}', so that nothing is trained; leave it null"
        )
    return config


def run_workflow(folder, overlays, profile, options):
    """Run the workflow in ``folder`` up to the evaluation, with ``options`` of Snakemake; tells if it ended well."""
    command = [sys.executable, ROOT / "workflow/launch.py", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--workflow-profile", profile, "evaluation", *options]
    command += ["--configfile", *(Path(path).resolve() for path in overlays)] if overlays else []
    done = subprocess.run(list(map(str, command)), check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
    if done.returncode:
        print(
            f"seeds: the workflow in '{folder}' ended with {done.returncode}; its messages are above", file=sys.stderr
        )
    return not done.returncode


def share(shared, folder):
    """Give ``folder`` the results of ``shared`` as hard links, and copies of Snakemake's records of them.

    A link is left as it is where it is one already, so that this can be repeated after ``shared`` has changed.
    """
    for path in sorted((shared / "results").rglob("*")):
        target = folder / path.relative_to(shared)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not (target.exists() and target.samefile(path)):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            os.link(path, target, follow_symlinks=False)
    shutil.copytree(shared / RECORDS, folder / RECORDS, dirs_exist_ok=True)


def agreed(rows, median, reference):
    """Verdict over seeds: anew where it is a number, else the most frequent word and how many seeds it is true of."""
    words = [row["verdict"] for row in rows]
    if all(word.endswith(" x") for word in words) and reference:
        return f"{median / reference:.2f} x"
    if all(word.startswith(("+", "-")) for word in words):
        return f"{median - reference:+.2f}"
    ((word, count),) = Counter(words).most_common(1)
    return word if count == len(words) else f"{word} {count}/{len(words)}"


def card_lines(card):
    """Lines of a scorecard, and of its table of baselines the CRPS beside climatology's and spread over error."""
    scores, spreads = [], []
    for row in card.get("baselines", {"rows": []})["rows"]:
        if row["spread"] is None:
            continue
        climatology = row["baselines"].get("climatology", {"value": None, "sign": ""})
        for lines, section, units, value, reference, verdict in (
            (
                scores,
                "CRPS, test (reference: climatology)",
                row["units"],
                row["ours"],
                climatology["value"],
                climatology["sign"],
            ),
            (spreads, "Spread over error, test", "", row["spread"], 1.0, ""),
        ):
            numbers = {"reference": reference, "median": value, "low": value, "high": value}
            lines.append({"section": section, "name": row["name"], "units": units, **numbers, "verdict": verdict})
    return [*card["lines"], *scores, *spreads]


def combine(cards):
    """Lines over seeds from scorecards {seed: card}: median, lowest and highest of the seeds' median members.

    A line that some seeds lack has the others' numbers, and says of how many in its verdict.
    """
    found: dict = {}
    for card in cards.values():
        for row in card_lines(card):
            found.setdefault((row["section"], row["name"]), []).append(row)
    lines = []
    for rows in found.values():
        values = [row["median"] for row in rows]
        known = [row["reference"] for row in rows if row["reference"] is not None]
        median, reference = float(np.median(values)), float(np.median(known)) if known else None
        verdict = agreed(rows, median, reference)
        if len(rows) < len(cards):
            verdict = f"{verdict} ({len(rows)} of {len(cards)} seeds)".strip()
        numbers = {"reference": reference, "median": median, "low": min(values), "high": max(values)}
        lines.append({**rows[0], **numbers, "verdict": verdict, "seeds": values})
    return lines


def table(cards, failed):
    """The combined lines as text, with what they are of and which seeds ``failed``."""
    first = next(iter(cards.values()))
    title = [
        f"Scores of {first['source']}, {first['experiment']}, {first['members']} members, over training seeds",
        f"{', '.join(map(str, cards))}: median [lowest, highest] over seeds of the median member",
    ]
    if failed:
        title.append(f"Not in it, since their runs failed: {', '.join(map(str, failed))}")
    return format_table("\n".join(title), combine(cards), "seeds")


def main(overlays, count, folder, profile, options):
    """Run all seeds and print the table; returns the seeds whose run failed, as where a model leaves physical bounds.

    Raises ValueError if what all of them share could not be made, or if all of them failed.
    """
    config = read_config(overlays)
    seeds = [config["seed"] + number for number in range(count)]
    shared = folder / "shared"
    if not run_workflow(shared, overlays, profile, ["--omit-from", "train", *options]):
        raise ValueError(f"what all seeds share was not made in '{shared}'; mend that and start again")
    cards = {}
    for seed in seeds:
        own = folder / f"seed-{seed}"
        share(shared, own)
        if run_workflow(own, overlays, profile, ["--config", f"seed={seed}", *options]):
            cards[seed] = json.loads((own / "results/evaluate/scorecard.json").read_text(encoding="utf-8"))
    if not cards:
        raise ValueError(f"the runs of all {count} seeds failed; their messages are above")
    failed = [seed for seed in seeds if seed not in cards]
    text, found = table(cards, failed), {"seeds": list(cards), "failed": failed, "lines": combine(cards)}
    for name, content in (("seeds.txt", text + "\n"), ("seeds.json", json.dumps(found, indent=1))):
        with atomic_path(folder / name) as temporary:
            Path(temporary).write_text(content, encoding="utf-8")
    print(text)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", default=[], help="overlays of config/config.yaml")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    parser.add_argument("--folder", type=Path, required=True, help="folder for all runs; kept, to go on in")
    parser.add_argument("--profile", default=ROOT / "workflow/profiles/local", help="Snakemake profile of the workflow")
    parser.add_argument("options", nargs="*", help="after --: options for Snakemake, such as --cores 4")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds is {given.seeds}; at least one seed is run")
    try:
        sys.exit(1 if main(given.config, given.seeds, given.folder, given.profile, given.options) else 0)
    except ValueError as problem:
        sys.exit(f"seeds: {problem}")
