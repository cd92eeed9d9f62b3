"""Train Monthly Diffusion on normalized months: `python -m model.train --help`.

Killed at any moment and started again with the same arguments, it goes on from its state and ends with the weights of
an uninterrupted run (bit for bit on a CPU): every random number is drawn from the seed and the number of the step.
"""

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from model import candidates, checkpoint, data
from model.blocks import calibrating
from model.config import ModelConfig, TrainingConfig, build, read_settings
from model.data import Months, open_months
from model.device import generator, pick_device, seeded
from model.free_run import status as free_run_status
from model.free_run import write_validation
from model.loss import draw_noise, gradients, loss_terms, validation_score
from model.metrics import add_free_run, open_tensorboard, status, write_metrics, write_tensorboard
from model.monthly_diffusion import MonthInputs, MonthlyDiffusion
from model.optimizer import RealAdamW, averaged, clip, clone_state, learning_rate, update_average
from model.prefit import prefit
from model.progress import Progress, fail, note, open_log
from model.train_state import State, code_digest, hand_over, load_state, termination, write_state


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
    validation: str | None = None,
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
        validation: CSV file of what the free run of the chosen weights shows.

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
    with open_months(data_path, device) as months:
        training, watched = (data.pair_indices(months, split) for split in (data.TRAINING, data.VALIDATION))
        for name, indices in (("training", training), ("validation", watched)):
            if len(indices) == 0:
                raise ValueError(f"{data_path} has no two consecutive months of the {name} period.")
        batch = min(config.batch, len(training))
        steps_per_epoch = len(training) // batch
        steps = steps_per_epoch * config.epochs
        deciding = dataclasses.asdict(config), dataclasses.asdict(model_config)  # what a state belongs to
        identity = json.dumps([code_digest(), deciding, seed, data.sha256(data_path)], sort_keys=True)

        with seeded(seed):
            model = checkpoint.new_model(model_config, months.metadata, months.statics).to(device)
        optimizer = RealAdamW(model, lr=config.learning_rate, weight_decay=config.weight_decay)

        # Go on from the state of an unfinished run, or start.
        state_path = Path(state_folder) / "state.pt" if state_folder else None
        state = load_state(state_path, identity, device)
        if state is None:
            prefit(model, months)
        else:
            hand_over(state, model, optimizer)
        # What a run that was killed in its free runs has left needs none.
        inputs = month_inputs(model, months) if state is None or state.step < steps else None
        metadata, statics, split = months.metadata, months.statics, months.split
    if state is None:
        assert inputs is not None
        calibrate(model, inputs, training, config, batch, seed)
        state = State(0, {}, clone_state(model), {}, [], {}, [])

    def save_state():
        if state_path:
            state.model, state.optimizer = model.state_dict(), optimizer.state_dict()
            write_state(state_path, identity, state)

    # Train.
    writer = open_tensorboard(tensorboard, state.step)
    progress = Progress("train", steps, start=state.step)
    note(f"training on {device} from step {state.step} of {steps}")
    saved, begun = time.monotonic(), time.monotonic()
    model.train()
    with termination(minutes) as ending:
        while state.step < steps:
            assert inputs is not None
            epoch, position = divmod(state.step, steps_per_epoch)
            order = epoch_order(training, seed, epoch)
            # The latents' statistics follow the encoder through the first half, and stand still for the second.
            if position == 0 and 2 * epoch < config.epochs:
                fit_latents(model, state.average, inputs, np.flatnonzero(split == data.TRAINING), config.batch)
            pairs = take_pairs(inputs, order[position * batch : (position + 1) * batch])
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
                    fixed = validation_batches(inputs, watched, config.batch)
                    with averaged(model, state.average):
                        score, parts = validation_score(model, fixed, config)
                    row |= {"validation_score": score} | {f"validation_{name}": value for name, value in parts.items()}
                    weights = clone_state(model, state.average)
                    state.candidates = candidates.keep(state.candidates, state.step, score, weights, config)
                state.rows.append(row)
                write_metrics(metrics, state.rows)
                write_tensorboard(writer, row)
                note(status(row, config.epochs, time.monotonic() - begun))

            stop = ending.reason()
            if stop or state.step == steps or time.monotonic() - saved > 60 * checkpoint_minutes:
                save_state()
                saved = time.monotonic()
            if stop:
                raise RuntimeError(f"stopped {stop} after step {state.step} of {steps}; start again to go on.")
        progress.close()

        # Choose among the weights that were kept.
        inputs = None  # most of the memory
        average_model = checkpoint.new_model(model_config, metadata, statics).to(device).eval()

        def measured(candidate):
            if candidate["found"]:
                note(free_run_status(candidate["step"], candidate["found"]))
                add_free_run(writer, state.rows, candidate["step"], candidate["found"])
            save_state()
            if stop := ending.reason():
                raise RuntimeError(f"stopped {stop} in its free runs after step {steps}; start again to go on.")

        with open_months(data_path, device) as months:
            candidates.measure(state.candidates, average_model, months, config, seed, measured)

    # Finish.
    chosen = candidates.choose(state.candidates)
    if chosen["found"].get("refused"):
        note(f"No candidate was steady in its free run; taken is that of step {chosen['step']}.")
    average_model.load_state_dict(chosen["weights"])
    provenance = {
        "seed": seed,
        "steps": steps,
        "best_step": chosen["step"],
        "validation_score": chosen["score"],
        "free_run": {name: value for name, value in chosen["found"].items() if name != "rows"},
        "training_data_sha256": data.sha256(data_path),
        "training": dataclasses.asdict(config),
        "torch": torch.__version__,
    }
    write_metrics(metrics, state.rows)
    write_validation(validation, chosen["found"].get("rows", []))
    checkpoint.save(out, model, average_model.state_dict(), metadata, provenance)
    if state_path:
        state_path.unlink(missing_ok=True)


@torch.no_grad()
def month_inputs(model: MonthlyDiffusion, months: Months) -> MonthInputs:
    """Return the inputs of all months, made a year at a time, for the memory."""
    whole, given = None, (months.fields, months.forcings, months.number)
    for first in range(0, len(months.dates), 12):
        some = slice(first, first + 12)
        part = model.inputs(*(values[some] for values in given))
        if whole is None:
            whole = MonthInputs(*(values.new_empty(len(months.dates), *values.shape[1:]) for values in part))
        for values, new in zip(whole, part, strict=True):
            values[some] = new
    assert whole is not None  # training has pairs, so there are months
    return whole


def take_pairs(inputs: MonthInputs, indices: np.ndarray) -> MonthInputs:
    """Return the months t in `indices`, then the months t + 1."""
    first = torch.as_tensor(indices, device=inputs.month.device)
    both = torch.cat([first, first + 1])
    return MonthInputs(*(values.index_select(0, both) for values in inputs))


def calibrate(model, inputs: MonthInputs, training: np.ndarray, config: TrainingConfig, batch: int, seed: int) -> None:
    """Let the calibrated norms measure their scales on the first pairs that training will take."""
    first = epoch_order(training, seed, 0)[: 4 * batch]
    noise = draw_noise(model, len(first), generator(seed), inputs.month.device)
    with torch.no_grad(), calibrating(model):
        loss_terms(model, take_pairs(inputs, first), noise, config)


@torch.no_grad()
def fit_latents(model: MonthlyDiffusion, average: dict, inputs: MonthInputs, inside, batch: int) -> None:
    """Measure mean and covariance of the latents of the months `inside`, for the model and its average."""
    if model.latents is None:
        return
    inside = torch.as_tensor(inside, device=inputs.month.device)
    latents = torch.empty(len(inside), *model.latent_shape, device=inside.device)
    for index, found in zip(inside.split(2 * batch), latents.split(2 * batch), strict=True):
        part = MonthInputs(*(values.index_select(0, index) for values in inputs))
        found.copy_(model.encode_given(part, model.conditions_of(part))[0])
    model.fit_latents(latents, inputs.month[inside])
    for name, value in model.latents.named_buffers():
        average[f"latents.{name}"].copy_(value)


def epoch_order(training: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Return the training pairs in the order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(training)


def training_step(model, optimizer, pairs: MonthInputs, config: TrainingConfig, seed: list[int]) -> dict[str, float]:
    """Take one step and return the loss and its terms; the noise depends on `seed` alone."""
    noise = draw_noise(model, len(pairs.month) // 2, generator(*seed), pairs.month.device)
    terms = gradients(model, pairs, config, noise)
    norm = clip(model, config)
    if torch.isfinite(norm):
        optimizer.step()
    finite, *values = torch.stack([torch.isfinite(norm), *terms.values()]).tolist()
    return {name: value if finite or name != "loss" else math.nan for name, value in zip(terms, values, strict=True)}


def refuse_divergence(terms: dict[str, float], state: State, epoch: int) -> None:
    """Stop at a loss or gradient that is not finite; the weights are still those of the step before."""
    if not math.isfinite(terms["loss"]):
        terms_text = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
        raise RuntimeError(
            f"training diverged at step {state.step} (epoch {epoch + 1}): {terms_text}; lower "
            f"training.learning_rate or set training.clip. The state of the last save is kept."
        )


def validation_batches(inputs: MonthInputs, indices: np.ndarray, batch: int) -> Iterator[MonthInputs]:
    """Yield every validation pair, in order."""
    for start in range(0, len(indices), batch):
        yield take_pairs(inputs, indices[start : start + batch])


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m model.train", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="normalized months (training.nc)")
    parser.add_argument("--settings", default="{}", help='JSON or a JSON file: {"model": {...}, "training": {...}}')
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and noise")
    parser.add_argument("--out", required=True, help="checkpoint to write")
    parser.add_argument("--state", help="folder for the state of an unfinished run")
    parser.add_argument("--metrics", help="CSV file of the losses per epoch")
    parser.add_argument("--validation", help="CSV file of what the free run of the chosen weights shows")
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
            arguments.validation,
        )
    except (ValueError, RuntimeError, OSError) as error:
        fail(f"model.train: {error}")


if __name__ == "__main__":
    main()
