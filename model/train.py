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

from model import candidates, checkpoint, data
from model.batches import epoch_order, month_inputs, take_pairs, validation_batches
from model.blocks import calibrating
from model.config import ModelConfig, TrainingConfig, build, read_settings
from model.data import open_months
from model.device import generator, pick_device, seeded
from model.free_run import status as free_run_status
from model.free_run import write_validation
from model.loss import draw_noise, gradients, loss_terms, validation_score
from model.monthly_diffusion import MonthInputs, MonthlyDiffusion
from model.optimizer import RealAdamW, averaged, clip, clone_state, learning_rate, update_average
from model.prefit import prefit
from model.progress import Progress, note, running
from model.train_state import State, Termination, code_digest, hand_over, load_state, termination, write_state
from model.training_log import add_free_run, open_tensorboard, status, write_metrics, write_tensorboard


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
    model_config = build(
        ModelConfig, "model", {k: v for k, v in settings.get("model", {}).items() if k != "checkpoint"}
    )
    config = build(TrainingConfig, "training", settings.get("training", {}))
    with termination(minutes) as ending:
        run = Run(data_path, model_config, config, seed, state_folder)
        writer = open_tensorboard(tensorboard, run.state.step)
        note(f"training on {run.device} from step {run.state.step} of {run.steps}")
        run.learn(ending, checkpoint_minutes, metrics, writer)
        run.choose(ending, writer)
    run.finish(out, metrics, validation)


class Run:
    """A training run: from its beginning, or from where one of the same identity was stopped, to the checkpoint.

    Arguments as of `train`; `identity` is what a state belongs to.
    """

    def __init__(
        self, data_path: str, model_config: ModelConfig, config: TrainingConfig, seed: int, state_folder: str | None
    ):
        self.data_path, self.config, self.seed, self.device = data_path, config, seed, pick_device()
        with open_months(data_path, self.device) as months:
            self.training, self.watched = (
                data.pair_indices(months, split) for split in (data.TRAINING, data.VALIDATION)
            )
            for name, indices in (("training", self.training), ("validation", self.watched)):
                if len(indices) == 0:
                    raise ValueError(f"{data_path} has no two consecutive months of the {name} period.")
            self.metadata, self.statics, self.split = months.metadata, months.statics, months.split
            self.batch = min(config.batch, len(self.training))
            self.steps_per_epoch = len(self.training) // self.batch
            self.steps = self.steps_per_epoch * config.epochs
            deciding = dataclasses.asdict(config), dataclasses.asdict(model_config)
            self.identity = json.dumps([code_digest(), deciding, seed, data.sha256(data_path)], sort_keys=True)

            with seeded(seed):
                self.model = checkpoint.new_model(model_config, self.metadata, self.statics).to(self.device)
            self.optimizer = RealAdamW(self.model, lr=config.learning_rate, weight_decay=config.weight_decay)
            self.state_path = Path(state_folder) / "state.pt" if state_folder else None
            state = load_state(self.state_path, self.identity, self.device)
            if state is None:
                prefit(self.model, months)
            else:
                hand_over(state, self.model, self.optimizer)
            # What a run that was killed in its free runs has left needs none.
            done = state is not None and state.step == self.steps
            self.inputs = None if done else month_inputs(self.model, months)
        if state is None:
            assert self.inputs is not None
            calibrate_norms(self.model, self.inputs, self.training, config, self.batch, seed)
            state = State(0, {}, clone_state(self.model), {}, [], {}, [])
        self.state = state

    def save(self) -> None:
        """Write the state, if there is a place for it."""
        if self.state_path:
            self.state.model, self.state.optimizer = self.model.state_dict(), self.optimizer.state_dict()
            write_state(self.state_path, self.identity, self.state)

    def learn(self, ending: Termination, checkpoint_minutes: float, metrics: str | None, writer) -> None:
        """Take all steps that are left; RuntimeError where the run diverges or has to stop."""
        state, progress = self.state, Progress("train", self.steps, start=self.state.step)
        saved = begun = time.monotonic()
        self.model.train()
        ending.begin_steps()
        if ending.signalled and state.step < self.steps:
            self.save()
            raise RuntimeError(
                f"stopped by a signal before step {state.step + 1} of {self.steps}; start again to go on."
            )
        while state.step < self.steps:
            self.step(progress)
            if state.step % self.steps_per_epoch == 0:
                row = self.end_epoch()
                write_metrics(metrics, state.rows)
                write_tensorboard(writer, row)
                note(status(row, self.config.epochs, time.monotonic() - begun))
            stop = ending.reason()
            if stop or state.step == self.steps or time.monotonic() - saved > 60 * checkpoint_minutes:
                self.save()
                saved = time.monotonic()
            if stop:
                raise RuntimeError(f"stopped {stop} after step {state.step} of {self.steps}; start again to go on.")
        progress.close()
        self.inputs = None  # most of the memory

    def step(self, progress: Progress) -> None:
        """Take the next step of the epoch under way."""
        state, config = self.state, self.config
        assert self.inputs is not None
        epoch, position = divmod(state.step, self.steps_per_epoch)
        order = epoch_order(self.training, self.seed, epoch)
        # The latents' statistics follow the encoder through the first half, and stand still for the second.
        if position == 0 and 2 * epoch < config.epochs:
            inside = np.flatnonzero(self.split == data.TRAINING)
            fit_latents(self.model, state.average, self.inputs, inside, config.batch)
        pairs = take_pairs(self.inputs, order[position * self.batch : (position + 1) * self.batch])
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(state.step, self.steps, config)
        terms = training_step(self.model, self.optimizer, pairs, config, [self.seed, state.step])
        refuse_divergence(terms, state, epoch)
        state.step += 1
        update_average(state.average, self.model, config.average, state.step)
        for name, value in terms.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        progress.update(state.step)

    def end_epoch(self) -> dict[str, float]:
        """Return the row of the epoch that is over, after the validation score that it may have, and keep both."""
        state, config, epoch = self.state, self.config, self.state.step // self.steps_per_epoch
        assert self.inputs is not None
        row = {"epoch": epoch, "step": state.step, "learning_rate": self.optimizer.param_groups[0]["lr"]}
        row |= {name: value / self.steps_per_epoch for name, value in state.sums.items()}
        state.sums = {}
        if epoch % config.validate_every == 0 or epoch == config.epochs:
            fixed = validation_batches(self.inputs, self.watched, config.batch)
            with averaged(self.model, state.average):
                score, parts = validation_score(self.model, fixed, config)
            row |= {"validation_score": score} | {f"validation_{name}": value for name, value in parts.items()}
            weights = clone_state(self.model, state.average)
            state.candidates = candidates.keep(state.candidates, state.step, score, weights, config)
        state.rows.append(row)
        return row

    def choose(self, ending: Termination, writer) -> None:
        """Let the free runs of the weights that were kept decide; RuntimeError where the run has to stop."""
        state = self.state
        self.average_model = checkpoint.new_model(self.model.config, self.metadata, self.statics).to(self.device).eval()

        def measured(candidate):
            if candidate["found"]:
                note(free_run_status(candidate["step"], candidate["found"]))
                add_free_run(writer, state.rows, candidate["step"], candidate["found"])
            self.save()
            if stop := ending.reason():
                raise RuntimeError(f"stopped {stop} in its free runs after step {self.steps}; start again to go on.")

        with open_months(self.data_path, self.device) as months:
            candidates.measure(state.candidates, self.average_model, months, self.config, self.seed, measured)

    def finish(self, out: str, metrics: str | None, validation: str | None) -> None:
        """Write the checkpoint of the chosen weights, after what it was chosen by; the state goes."""
        chosen = candidates.choose(self.state.candidates)
        if chosen["found"].get("refused"):
            note(f"No candidate was steady in its free run; taken is that of step {chosen['step']}.")
        self.average_model.load_state_dict(chosen["weights"])
        provenance = {
            "seed": self.seed,
            "steps": self.steps,
            "best_step": chosen["step"],
            "validation_score": chosen["score"],
            "free_run": {name: value for name, value in chosen["found"].items() if name != "rows"},
            "training_data_sha256": data.sha256(self.data_path),
            "training": dataclasses.asdict(self.config),
            "torch": torch.__version__,
        }
        write_metrics(metrics, self.state.rows)
        write_validation(validation, chosen["found"].get("rows", []))
        checkpoint.save(out, self.model, self.average_model.state_dict(), self.metadata, provenance)
        if self.state_path:
            self.state_path.unlink(missing_ok=True)


def calibrate_norms(
    model, inputs: MonthInputs, training: np.ndarray, config: TrainingConfig, batch: int, seed: int
) -> None:
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
    with running("model.train", arguments.log):
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


if __name__ == "__main__":
    main()
