"""The weights that may become the checkpoint: a few are kept while training, and the free run of each decides."""

import math
from collections.abc import Callable

from model.calibration import calibrate
from model.config import TrainingConfig
from model.data import Months
from model.free_run import climate_of, judge
from model.monthly_diffusion import MonthlyDiffusion


def keep(candidates: list[dict], step: int, score: float, weights: dict, config: TrainingConfig) -> list[dict]:
    """Return the candidates after a validation: those of the best one-step scores, and the newest if there is room.

    Each is {"step", "score", "weights"}; `weights` is a state of the model that nothing else changes. With a single
    candidate, or without a free run, the best one-step score alone decides.
    """
    if not math.isfinite(score):
        return candidates
    limit = config.candidates if config.validation_members else 1
    newest = {"step": step, "score": score, "weights": weights}
    if limit == 1:
        return [min([*candidates, newest], key=lambda kept: kept["score"])]
    best = sorted(candidates, key=lambda kept: kept["score"])[: limit - 1]
    return [*best, newest]


def measure(
    candidates: list[dict],
    model: MonthlyDiffusion,
    months: Months,
    config: TrainingConfig,
    seed: int,
    done: Callable[[dict], None],
) -> None:
    """Measure the offset of each candidate and its free run, if the config asks for them; `done` hears of each.

    What a candidate has already, from before training was killed, stays. `model` is left with the weights of the last.
    """
    climate = None
    for candidate in sorted(candidates, key=lambda kept: kept["step"]):
        if "found" in candidate:
            continue
        model.load_state_dict(candidate["weights"])
        if config.offset_members:
            calibrate(model, months, config.offset_members, seed)
            calibrated = {name: value.clone() for name, value in model.state_dict().items()}
            candidate["weights"] = {name: calibrated[name] for name in candidate["weights"]}
        candidate["found"] = {}
        if config.validation_members:
            climate = climate or climate_of(model, months)
            candidate["found"] = judge(model, *climate, months, config.validation_members, seed)
        done(candidate)


def choose(candidates: list[dict]) -> dict:
    """Return the candidate of the best free run; of the best one-step score where there was none.

    One that ran away is taken only if all did: what follows the training judges it again, and says so.

    Raises:
        RuntimeError: no score is finite.
    """

    def score(candidate):
        return candidate["found"].get("score", candidate["score"])

    finite = [candidate for candidate in candidates if math.isfinite(score(candidate))]
    steady = [candidate for candidate in finite if not candidate["found"].get("refused")]
    if not finite:
        raise RuntimeError("no validation score was finite; lower training.learning_rate.")
    return min(steady or finite, key=score)
