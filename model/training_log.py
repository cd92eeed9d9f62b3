"""The losses of a training run: as CSV, for TensorBoard, and as a line of status."""

import csv

from model.files import whole

TERMS = ("reconstruction", "predicted", "diffusion", "kl", "latent")
FREE_RUN = ("score", "spread_error", "small_scales", "variance", "memory", "drift")  # of model.free_run
COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    "loss",
    *TERMS,
    "validation_score",
    *(f"validation_{term}" for term in TERMS),
    *(f"free_run_{name}" for name in FREE_RUN),
)


def write_metrics(path: str | None, rows: list[dict]) -> None:
    """Write the losses of all epochs so far as CSV."""
    if path is None:
        return
    with whole(path) as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def open_tensorboard(folder: str | None, step: int):
    """Return a TensorBoard writer that goes on after `step`, or None."""
    if folder is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # imported here: it takes seconds, and few runs want it

    return SummaryWriter(folder, purge_step=step)


def write_tensorboard(writer, row: dict) -> None:
    """Add the losses of an epoch."""
    if writer is not None:
        for name, value in row.items():
            if name not in ("epoch", "step"):
                writer.add_scalar(name, value, row["step"])
        writer.flush()


def add_free_run(writer, rows: list[dict], step: int, found: dict) -> None:
    """Add what the free run of the weights of `step` showed to their row, and for TensorBoard."""
    (row,) = [row for row in rows if row["step"] == step]
    row |= {f"free_run_{name}": found[name] for name in FREE_RUN}
    write_tensorboard(writer, {"step": step} | {f"free_run_{name}": found[name] for name in FREE_RUN})


def status(row: dict, epochs: int, seconds: float) -> str:
    """Return the aligned status line of an epoch."""
    text = (
        f"epoch {row['epoch']:4d}/{epochs}  {seconds:7.0f} s  rate {row['learning_rate']:.1e}  loss {row['loss']:8.4f}"
    )
    text += "".join(f"  {name} {row[name]:7.4f}" for name in TERMS if name in row)
    return text + (f"  validation {row['validation_score']:7.4f}" if "validation_score" in row else "")
