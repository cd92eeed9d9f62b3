"""Leave the model to itself under a repeated sea: does it stay a climate? `python -m model.long_run --help`.

The whole years of the forcing follow each other again and again. Of each month the run keeps global means and the
amplitudes of the leading patterns (model/reference_climate.py), no fields. It fails with a sentence where one of them
runs away; else it writes each one's standard deviation, from month to month and from decade to decade, beside that of
the training and validation months.
"""

import argparse
import csv
import json

import numpy as np
import torch

from model import checkpoint, data
from model.device import pick_device
from model.files import whole
from model.noise import LONG_RUN
from model.progress import Progress, note, running
from model.reference_climate import FACTOR, Climate, Viewer, block_means, blocks
from model.run_inputs import match_initial, open_inputs
from model.simulate import simulate

DECADE = 120  # months


@torch.inference_mode()
def long_run(
    checkpoint_path: str,
    initial_path: str,
    forcing_path: str,
    data_path: str,
    months: int,
    members: int,
    seed: int,
    out: str,
    table: str,
) -> None:
    """Run the model for many months and write what its indices do.

    Args:
        checkpoint_path: the model.
        initial_path: normalized first month (initial.nc).
        forcing_path: normalized forcing of every month from the first on.
        data_path: normalized training and validation months (training.nc), the reference.
        months: length of the run.
        members: their number.
        seed: of all random numbers.
        out: JSON file to write.
        table: the same as CSV, an index a row.

    Raises:
        ValueError: the inputs do not fit the model, or the forcing has no whole year.
        RuntimeError: the run ran away.
    """
    device = pick_device()
    model, metadata, _ = checkpoint.load(checkpoint_path, device)
    viewer = Viewer(model, metadata)
    with open_inputs(initial_path, forcing_path, metadata) as (fields, observed, forcing):
        dates = following(forcing.dates[0], months)
        whole = len(forcing.dates) // 12 * 12
        if not whole:
            raise ValueError(f"{forcing_path} has {len(forcing.dates)} months; the long run repeats whole years.")
        known, reference = data.known_months(data_path)
        pairs = (match_initial(month, metadata, data_path) for month in reference)
        climate = Climate(viewer, ((values.to(device), sea.to(device)) for values, sea in pairs), known)
        block = max(12, min(DECADE, len(known) // 12 * 12))
        run = []
        progress = Progress("long run", months)
        numbers = list(range(1, members + 1))
        for index, normalized in enumerate(
            simulate(model, fields, observed, dates, lambda i: forcing.month(i % whole), numbers, seed, stream=LONG_RUN)
        ):
            month = dates[index][1]
            run.append(climate.indices(viewer(normalized, forcing.month(index % whole).to(device), month), month))
            progress.update(index + 1)
            if not np.isfinite(run[-1]).all():
                break
    progress.close()
    series = np.stack(run, axis=1)
    if sentence := climate.runaway(series, block):
        raise RuntimeError(
            f"{sentence} Such a model is no climate: choose other settings of training or model and train again."
        )
    rows = compared(climate, series, block)
    text = {"passed": True, "months": months, "members": members, "block_months": block, "factor": FACTOR}
    write_json(out, text | {"checkpoint_sha256": data.sha256(checkpoint_path), "seed": seed, "indices": rows})
    write_table(table, rows)
    ratios = [
        f"{what} {np.median(found):.2f}"
        for what, name in (("of months", "std"), (f"of means of {block} months", "block_std"))
        if (found := [row[name] / row[f"reference_{name}"] for row in rows if row[f"reference_{name}"] > 0])
    ]
    note(
        f"{months} months of {members} members: no index ran away. Standard deviation over the reference's, median of "
        f"{len(rows)} indices: {', '.join(ratios)}"
    )


def following(first: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Return (year, month) of `count` months from `first` on."""
    number = first[0] * 12 + first[1] - 1
    return [((number + step) // 12, (number + step) % 12 + 1) for step in range(count)]


def compared(climate: Climate, series: np.ndarray, block: int) -> list[dict]:
    """Return for each index of a run (members, time, n) what it did and what the reference does, in its own units."""
    low, high = climate.allowed(block)
    columns = {"allowed_low": low, "allowed_high": high}
    for name, values in (("", series), ("reference_", climate.series[None])):
        columns[f"{name}std"] = values.std((0, 1))
        columns[f"{name}block_std"] = block_deviation(values, block, len(climate.series))
    means = np.stack([values.mean(1) for _, values in blocks(series, block)])  # (blocks, members, n)
    return [
        {"index": name}
        | {key: float(values[number]) for key, values in columns.items()}
        | {"lowest_block": float(means[..., number].min()), "highest_block": float(means[..., number].max())}
        | {"blocks": means[..., number].T.tolist()}
        for number, name in enumerate(climate.names)
    ]


def block_deviation(series: np.ndarray, block: int, length: int) -> np.ndarray:
    """Return the standard deviation (n,) of means of `block` months of series (members, time, n).

    Within pieces of `length` months: of few decades it comes out too small, and so it does of both that are compared.
    """
    pieces = [block_means(values, block).var(1) for _, values in blocks(series, length)]
    return np.sqrt(np.mean(pieces, axis=(0, 1)))


def write_json(path: str, content: dict) -> None:
    """Write a JSON file, whole or not at all."""
    with whole(path) as file:
        file.write(json.dumps(content, indent=1) + "\n")


def write_table(path: str, rows: list[dict]) -> None:
    """Write the rows as CSV, without the single blocks."""
    with whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        names = [name for name in rows[0] if name != "blocks"]
        writer.writerow(names)
        for row in rows:
            writer.writerow(f"{row[name]:.5g}" if isinstance(row[name], float) else row[name] for name in names)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m model.long_run", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, help="the trained model")
    parser.add_argument("--initial", required=True, help="normalized first month (initial.nc)")
    parser.add_argument("--forcing", required=True, help="normalized forcing of every month")
    parser.add_argument("--data", required=True, help="normalized training and validation months (training.nc)")
    parser.add_argument("--months", type=int, default=1000, help="length of the run")
    parser.add_argument("--members", type=int, default=1, help="number of members")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers")
    parser.add_argument("--out", required=True, help="JSON file to write")
    parser.add_argument("--table", required=True, help="CSV file to write")
    parser.add_argument("--log", help="file for the lines of status, besides the terminal")
    given = parser.parse_args()
    with running("model.long_run", given.log):
        paths = given.checkpoint, given.initial, given.forcing, given.data
        long_run(*paths, given.months, given.members, given.seed, given.out, given.table)


if __name__ == "__main__":
    main()
