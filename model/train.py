"""Train Monthly Diffusion on normalized months: `python -m model.train --help`.

Killed at any moment and started again with the same arguments, it goes on from its state and ends with the weights of
an uninterrupted run (bit for bit on a CPU): every random number is drawn from the seed and the number of the step.
"""

import argparse
import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import torch

from model import checkpoint, data
from model.blocks import calibrating
from model.config import ModelConfig, TrainingConfig, build, read_settings
from model.data import MonthPairs, Months
from model.device import generator, pick_device, seeded
from model.loss import draw_noise, loss_terms, total, validation_score
from model.metrics import open_tensorboard, status, write_metrics, write_tensorboard
from model.monthly_diffusion import MonthlyDiffusion
from model.progress import Progress, fail, open_log
from model.simulate import climate_offset
from model.train_state import State, load_state, termination, write_state


def train(
    data_path: str,
    settings: dict,
    seed: int,
    out: str,
    state_folder: str | None = None,
    metrics: str | None = None,
    tensorboard: str | None = None,
    checkpoint_minutes: float = 10.0,
    minutes: float = 0,
) -> None:
    """Train a model and write its best checkpoint.

    Args:
        data_path: normalized months (training.nc).
        settings: sections "model" and "training" of the config.
        seed: of weights, order and noise.
        out: checkpoint to write.
        state_folder: where to keep the state of an unfinished run; None: it starts over when killed.
        metrics: CSV file of the losses per epoch.
        tensorboard: folder of the same for TensorBoard.
        checkpoint_minutes: between saves of the state; no setting, since it changes no number.
        minutes: time limit of the job that this runs in; 0: none.

    Raises:
        ValueError: settings or data are wrong.
        RuntimeError: the loss is not finite, or the run had to stop at a signal or before its time limit; its state
            stays.
    """
    # Set up.
    model_config = build(
        ModelConfig, "model", {k: v for k, v in settings.get("model", {}).items() if k != "checkpoint"}
    )
    config = build(TrainingConfig, "training", settings.get("training", {}))
    device = pick_device()
    months = data.read_months(data_path)
    months = dataclasses.replace(months, fields=months.fields.to(device), forcings=months.forcings.to(device))
    training, validation = (data.pair_indices(months, split) for split in (data.TRAINING, data.VALIDATION))
    for name, indices in (("training", training), ("validation", validation)):
        if len(indices) == 0:
            raise ValueError(f"{data_path} has no two consecutive months of the {name} period.")
    batch = min(config.batch, len(training))
    steps_per_epoch = len(training) // batch
    steps = steps_per_epoch * config.epochs
    deciding = dataclasses.asdict(config), dataclasses.asdict(model_config)  # what a state belongs to
    identity = json.dumps([deciding, seed, data.sha256(data_path), str(device)], sort_keys=True)

    with seeded(seed):
        model = checkpoint.new_model(model_config, months.metadata, months.statics).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    fixed = validation_batches(months, validation, config.batch, device)

    # Go on from the state of an unfinished run, or start.
    state_path = Path(state_folder) / "state.pt" if state_folder else None
    state = load_state(state_path, identity)
    if state is None:
        prepare(model, months, training, config, batch, seed, device)
        state = State(0, {}, clone_state(model), {}, [], {}, math.inf, {}, 0)
    else:
        model.load_state_dict(state.model)
        optimizer.load_state_dict(state.optimizer)
    average_model = checkpoint.new_model(model_config, months.metadata, months.statics).to(device).eval()

    def save_state():
        if state_path:
            state.model, state.optimizer = model.state_dict(), optimizer.state_dict()
            write_state(state_path, identity, state)

    # Train.
    writer = open_tensorboard(tensorboard, state.step)
    progress = Progress("train", steps, start=state.step)
    progress.line(f"training on {device} from step {state.step} of {steps}")
    saved, begun = time.monotonic(), time.monotonic()
    model.train()
    with termination(minutes) as ending:
        while state.step < steps:
            epoch, position = divmod(state.step, steps_per_epoch)
            order = epoch_order(training, seed, epoch)
            # The latents' statistics follow the encoder through the first half, and stand still for the second.
            if position == 0 and 2 * epoch < config.epochs:
                fit_latents(model, state.average, months, config.batch)
            pairs = data.take_pairs(months, order[position * batch : (position + 1) * batch], device)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(state.step, steps, config)
            terms = training_step(model, optimizer, pairs, config, [seed, state.step])
            refuse_divergence(terms, state, epoch)
            state.step += 1
            update_average(state.average, model, config.average, state.step)
            for name, value in terms.items():
                state.sums[name] = state.sums.get(name, 0.0) + value
            progress.update(state.step)

            if state.step % steps_per_epoch == 0:
                epoch += 1
                row = {"epoch": epoch, "step": state.step, "learning_rate": optimizer.param_groups[0]["lr"]}
                row |= {name: value / steps_per_epoch for name, value in state.sums.items()}
                state.sums = {}
                if epoch % config.validate_every == 0 or epoch == config.epochs:
                    average_model.load_state_dict(state.average)
                    score, parts = validation_score(average_model, fixed, config)
                    row |= {"validation_score": score} | {f"validation_{name}": value for name, value in parts.items()}
                    if score < state.best_score:
                        state.best_score, state.best_step = score, state.step
                        state.best = {name: value.clone() for name, value in state.average.items()}
                state.rows.append(row)
                write_metrics(metrics, state.rows)
                write_tensorboard(writer, row)
                progress.line(status(row, config.epochs, time.monotonic() - begun))

            stop = ending.reason()
            if stop or state.step == steps or time.monotonic() - saved > 60 * checkpoint_minutes:
                save_state()
                saved = time.monotonic()
            if stop:
                raise RuntimeError(f"stopped {stop} after step {state.step} of {steps}; start again to go on.")
    progress.close()

    # Finish.
    if not state.best:
        raise RuntimeError("no validation score was finite; lower training.learning_rate.")
    average_model.load_state_dict(state.best)
    if config.offset_members:
        offset = climate_offset(average_model, months, config.offset_members, seed)
        average_model.climate_offset.copy_(offset)
    provenance = {
        "seed": seed,
        "steps": steps,
        "best_step": state.best_step,
        "validation_score": state.best_score,
        "training_data_sha256": data.sha256(data_path),
        "training": dataclasses.asdict(config),
        "torch": torch.__version__,
    }
    write_metrics(metrics, state.rows)
    checkpoint.save(out, model, average_model.state_dict(), months.metadata, provenance)
    if state_path:
        state_path.unlink(missing_ok=True)


def prepare(model, months: Months, training, config: TrainingConfig, batch: int, seed: int, device) -> None:
    """Fit what is fitted before training: the forced response, and the scales of the calibrated norms."""
    if model.forced is not None:
        inside = np.flatnonzero(months.split == data.TRAINING)
        number = torch.tensor([month for _, month in months.dates])[inside]
        model.forced.fit(months.fields[inside].to(device), months.forcings[inside].to(device), number.to(device))
    first = epoch_order(training, seed, 0)[: 4 * batch]
    pairs = data.take_pairs(months, first, device)
    with torch.no_grad(), calibrating(model):
        loss_terms(model, pairs, draw_noise(model, len(first), generator(seed), device), config)


@torch.no_grad()
def fit_latents(model: MonthlyDiffusion, average: dict, months: Months, batch: int) -> None:
    """Measure mean and covariance of the latents of the training months, for the model and its average."""
    if model.latents is None:
        return
    inside = torch.from_numpy(np.flatnonzero(months.split == data.TRAINING))
    number = torch.tensor([month for _, month in months.dates])
    device = model.latent_mean.device
    latents = [
        model.encode(*(values[part].to(device) for values in (months.fields, months.forcings, number)))[0]
        for part in inside.split(2 * batch)
    ]
    model.fit_latents(torch.cat(latents))
    for name, value in model.latents.named_buffers():
        average[f"latents.{name}"].copy_(value)


def epoch_order(training: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Return the training pairs in the order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(training)


def training_step(model, optimizer, pairs: MonthPairs, config: TrainingConfig, seed: list[int]) -> dict[str, float]:
    """Take one step and return the loss and its terms; the noise depends on `seed` alone."""
    noise = draw_noise(model, len(pairs.fields), generator(*seed), pairs.fields.device)
    terms = loss_terms(model, pairs, noise, config)
    loss = total(terms, config)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip or math.inf)
    if torch.isfinite(norm):
        optimizer.step()
    finite, *values = torch.stack([torch.isfinite(norm), loss.detach(), *terms.values()]).tolist()
    return {"loss": values[0] if finite else math.nan, **dict(zip(terms, values[1:], strict=True))}


def refuse_divergence(terms: dict[str, float], state: State, epoch: int) -> None:
    """Stop at a loss or gradient that is not finite; the weights are still those of the step before."""
    if not math.isfinite(terms["loss"]):
        terms_text = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
        raise RuntimeError(
            f"training diverged at step {state.step} (epoch {epoch + 1}): {terms_text}; lower "
            f"training.learning_rate or set training.clip. The state of the last save is kept."
        )


def learning_rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Return the rate of a step: a linear rise, then constant or half a cosine down to a hundredth."""
    warmup = min(config.warmup_steps, steps // 10)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.decay == "constant":
        return config.learning_rate
    fraction = (step - warmup) / max(1, steps - warmup)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fraction)))


@torch.no_grad()
def update_average(average: dict, model: MonthlyDiffusion, decay: float, step: int) -> None:
    """Move the averaged weights toward the model's; early on the average forgets faster. Buffers do not change."""
    decay = min(decay, (1 + step) / (10 + step)) if decay else 0.0
    for name, value in model.named_parameters():
        average[name].lerp_(value, 1 - decay)


def clone_state(model: MonthlyDiffusion) -> dict:
    """Return a copy of the model's state."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def validation_batches(months: Months, indices: np.ndarray, batch: int, device) -> list[MonthPairs]:
    """Return every validation pair, in order."""
    return [data.take_pairs(months, indices[i : i + batch], device) for i in range(0, len(indices), batch)]


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m model.train", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="normalized months (training.nc)")
    parser.add_argument("--settings", default="{}", help='JSON or a JSON file: {"model": {...}, "training": {...}}')
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and noise")
    parser.add_argument("--out", required=True, help="checkpoint to write")
    parser.add_argument("--state", help="folder for the state of an unfinished run")
    parser.add_argument("--metrics", help="CSV file of the losses per epoch")
    parser.add_argument("--tensorboard", help="folder of the losses for TensorBoard")
    parser.add_argument("--checkpoint-minutes", type=float, default=10.0, help="minutes between saves of the state")
    parser.add_argument("--minutes", type=float, default=0, help="stop with the state saved before this time is over")
    parser.add_argument("--log", help="file for the lines of status, besides the terminal")
    arguments = parser.parse_args()
    open_log(arguments.log)
    try:
        train(
            arguments.data,
            read_settings(arguments.settings),
            arguments.seed,
            arguments.out,
            arguments.state,
            arguments.metrics,
            arguments.tensorboard,
            arguments.checkpoint_minutes,
            arguments.minutes,
        )
    except (ValueError, RuntimeError, OSError) as error:
        fail(f"model.train: {error}")


if __name__ == "__main__":
    main()
