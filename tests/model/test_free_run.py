"""The free run of the validation months: its measures against closed forms, and the checkpoint that it chooses."""

import copy
import csv
import filecmp
import itertools
import json
import math

import numpy as np
import pytest
import torch

from model import calibration, candidates, checkpoint, data, free_run, noise, reference_climate, simulate, train
from model.config import TrainingConfig
from model.fast import FastModel
from model.scores import fair_crps, lag_one, memory_months, spread_over_error
from model.sphere import Grid
from tests.helpers import model_data
from tests.helpers.model_networks import make_model, make_pairs


@pytest.mark.parametrize(("members", "spread"), [(2, 1.0), (5, 1.0), (5, 0.5), (5, 3.0)])
def test_the_fair_score_of_gaussians_does_not_depend_on_the_number_of_members(members, spread):
    """E |x - y| - E |x - x'| / 2 for x of standard deviation s and y of one: sqrt(2 (1 + s^2) / pi) - s / sqrt(pi)."""
    draws = torch.randn(members + 1, 400_000, generator=torch.Generator().manual_seed(members))
    found = fair_crps(spread * draws[1:], draws[0]).mean().item()
    wanted = math.sqrt(2 * (1 + spread**2) / math.pi) - spread / math.sqrt(math.pi)
    assert found == pytest.approx(wanted, rel=0.01)


def test_the_fair_score_by_hand():
    """Members 1, 2, 6 of a truth of 3: mean error (2 + 1 + 3) / 3, pairs 2 (1 + 5 + 4) / (2 * 3 * 2)."""
    assert fair_crps(torch.tensor([[2.0], [6.0], [1.0]]), torch.tensor([3.0])).item() == pytest.approx(2 - 10 / 6)


@pytest.mark.parametrize("members", [2, 5])
def test_spread_over_error_of_an_exchangeable_ensemble_is_one(members):
    draws = np.random.default_rng(1).normal(size=(members + 1, 200_000))
    variance, error = draws[1:].var(0, ddof=1).mean(), np.square(draws[1:].mean(0) - draws[0]).mean()
    assert spread_over_error(variance, error, members) == pytest.approx(1, rel=0.01)
    assert spread_over_error(variance / 4, error, members) == pytest.approx(0.5, rel=0.01)


def test_the_memory_of_red_noise_is_its_own_and_gaps_are_no_memory():
    random, keep, count = np.random.default_rng(2), np.exp(-1 / 6), 20_000
    series = np.zeros((2, count, 1))
    for month in range(1, count):
        series[:, month] = keep * series[:, month - 1] + random.normal(size=(2, 1))
    follows = np.ones(count - 1, bool)
    found = lag_one(series, follows)[0]
    assert found == pytest.approx(keep, abs=0.01) and memory_months(found) == pytest.approx(6, rel=0.1)
    scattered = series[:, random.permutation(count)]
    assert abs(lag_one(scattered, follows)[0]) < 0.02 and memory_months(-0.1) == 0
    # Months of the other sign after a gap would lower it, if they counted.
    turned = np.concatenate([np.ones((1, 3, 1)), np.full((1, 3, 1), -1.0)], axis=1)
    assert lag_one(turned, np.array([True, True, False, True, True]))[0] == pytest.approx(1)
    assert lag_one(turned, np.ones(5, bool))[0] < 0.7


def test_the_power_of_a_harmonic_is_its_area_mean_square_at_its_degree():
    grid = Grid(19, 36)
    lat, lon = (torch.from_numpy(np.deg2rad(axis)) for axis in model_data.axes(*grid))
    lat, lon = lat[:, None], lon[None]
    maps = [torch.sin(lat) + 0 * lon, torch.cos(lat) ** 3 * torch.cos(3 * lon), 2 + 0 * lat + 0 * lon]
    harmonics = reference_climate.Harmonics(grid)
    power = harmonics.power(harmonics(torch.stack(maps).float()))
    wanted = torch.zeros(3, 10)
    wanted[0, 1], wanted[1, 3], wanted[2, 0] = 1 / 3, 8 / 35, 4  # integrals of sin^2 cos / 2 and cos^7 / 4
    assert torch.allclose(power, wanted, atol=1e-5)
    assert len(harmonics.degree) == 100 and (harmonics.degree.diff() >= 0).all()


@pytest.fixture(scope="module")
def known(folder):
    """Model, months, viewer and climate of the shared training."""
    months = data.read_months(folder / "training.nc")
    model, *_ = checkpoint.load(folder / "c.zip")
    return model, months, *free_run.climate_of(model, months)


def test_the_climate_has_the_spread_and_the_global_means_of_its_months(known):
    model, months, _, found = known
    lat = np.deg2rad(months.metadata.lat)
    edges = np.sin(np.concatenate([lat[:1], (lat[1:] + lat[:-1]) / 2, lat[-1:]]))
    area = np.diff(edges)[:, None] / np.diff(edges).sum() / 24
    values = months.fields[:, 3].double().numpy() * 2 + 285  # t2m of tests/helpers/model_data.py
    years = values.reshape(3, 12, *values.shape[1:])
    anomalies = years - years.mean(0)
    assert found.spread[3] == pytest.approx(np.sqrt((np.square(anomalies) * area).sum((2, 3)).mean()), rel=1e-4)
    # Global means are of what the sea does not make.
    with torch.no_grad():
        response = model.forced.respond(months.forcings, months.number)[1][:, 3].double().numpy() * 2
    rest = (values - response).reshape(years.shape)
    wanted = ((rest - rest.mean(0)) * area).sum((2, 3)).ravel()
    assert np.allclose(found.series[:, 3], wanted, atol=1e-4) and response.std() > 0.1
    assert np.allclose(found.series[:, 4:].std(0), 1, atol=1e-3), "amplitudes are in standard deviations"
    assert np.abs(np.corrcoef(found.series[:, 4:].T) - np.eye(found.series.shape[1] - 4)).max() < 1e-2


def test_a_run_that_is_the_truth_has_no_error_and_its_powers(known, monkeypatch):
    model, months, viewer, found = known
    inside = np.flatnonzero(months.split == data.VALIDATION)
    monkeypatch.setattr(
        free_run, "free_run", lambda *_: (months.fields[i : i + 1].expand(3, -1, -1, -1) for i in inside)
    )
    judged = free_run.judge(model, viewer, found, months, 3, 0)
    rows = {(measure, name): values for measure, name, *values in judged["rows"]}
    assert judged["score"] == pytest.approx(0, abs=1e-6) and judged["drift"] == pytest.approx(0, abs=1e-9)
    assert judged["refused"] == "" and judged["small_scales"] == pytest.approx(1, rel=1e-5)
    for (measure, _), (run, reference) in rows.items():
        if measure.startswith(("power", "drift")):
            assert run == pytest.approx(reference, rel=1e-4)
    assert rows["spread over error", "t2m"][0] != 0  # 0 / 0 is not a number, and no good ratio either


def test_members_of_a_free_run_stand_alone_and_are_none_of_the_submission(known):
    model, months, *_ = known

    def run(members, stream):
        first, dates = slice(0, 1), months.dates[:4]
        given = model, months.fields[first], months.forcings[first], dates
        return torch.stack(
            list(simulate.simulate(*given, lambda i: months.forcings[i : i + 1], members, 3, stream=stream))
        )

    block, alone = run([1, 2, 3], noise.VALIDATION_RUN), run([2], noise.VALIDATION_RUN)
    assert torch.equal(block[:, 1], alone[:, 0])
    streams = [alone, *(run([2], stream) for stream in (noise.SUBMISSION, noise.LONG_RUN, noise.CALIBRATION))]
    assert all(not torch.equal(one, two) for one, two in itertools.combinations(streams, 2))


def drawn(monkeypatch, run):
    """Return the keys of the noise that a run draws, and what they give."""
    seen, draw = {}, noise.normals_of

    def recorded(keys, shape):
        found = draw(keys, shape)
        seen.update(zip(keys, found, strict=True))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(noise, "normals_of", recorded)
        run()
    return seen


def test_calibration_validation_and_submission_share_no_noise(known, monkeypatch):
    """Of the same seed, members and months."""
    model, months, *_ = known
    inside = np.flatnonzero(months.split == data.TRAINING)
    submitted = drawn(monkeypatch, lambda: list(simulate.free_run(model, months, inside, 2, 3, noise.SUBMISSION)))
    calibrated = drawn(monkeypatch, lambda: calibration.calibrate(copy.deepcopy(model), months, 2, 3))
    validated = drawn(monkeypatch, lambda: list(simulate.free_run(model, months, inside, 2, 3, noise.VALIDATION_RUN)))
    assert {key.stream for key in calibrated} == {noise.CALIBRATION}
    wanted = {(member, noise.month_number(*months.dates[index])) for member in (1, 2) for index in inside}
    for run in (submitted, validated):
        assert {key.stage for key in run} == {noise.INITIAL, noise.DIFFUSION, *noise.RESIDUAL_STAGES}
    latents = [
        {key: value for key, value in run.items() if key.stage not in noise.RESIDUAL_STAGES}
        for run in (submitted, calibrated, validated)
    ]
    for runs in itertools.combinations(latents, 2):
        assert all({(key.member, key.month) for key in run} == wanted for run in runs)
        one, other = (torch.cat([values.ravel() for _, values in sorted(run.items())]) for run in runs)
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / math.sqrt(len(one))


@pytest.mark.parametrize("sampler", ["second_order", "ancestral"])
@pytest.mark.parametrize("together", [1, 2])
def test_a_run_that_begins_later_or_in_other_blocks_has_the_same_noise(monkeypatch, sampler, together):
    """What reaches the sampler, colored: by member and month, of a run of 20 months and of its last 13."""
    model = make_model(noise_modes=8, sampler=sampler, diffusion_steps=3).eval()
    pairs, dates = make_pairs(batch=1), model_data.months((1990, 5), 20)
    monkeypatch.setattr(simulate, "members_together", lambda device, members: together)

    def noises(dates, members):
        class Recording(FastModel):
            seen = []

            def sample_next(self, state, month, noise):
                self.seen.append(noise)
                return super().sample_next(state, month, noise)

        given = model, pairs.fields, pairs.forcing, dates, lambda index: pairs.forcing, members, 7
        fields = list(simulate.simulate(*given, Recording))
        assert len(fields) == len(dates) and all(len(values) == len(members) for values in fields)
        blocks = -(-len(members) // together)
        months = [Recording.seen[first : first + blocks] for first in range(0, len(Recording.seen), blocks)]
        return torch.stack([torch.cat(month, dim=1)[:, : len(members)] for month in months])

    whole, later, others = noises(dates, [1, 2, 3]), noises(dates[7:], [1, 2, 3]), noises(dates, [3, 5])
    assert whole.shape == (19, model.draws, 3, *model.latent_shape)
    assert torch.allclose(whole[7:], later, atol=1e-5)
    assert torch.allclose(whole[:, :, 2], others[:, :, 0], atol=1e-5)
    flat = whole.transpose(1, 2).flatten(0, 1).flatten(1)
    assert (torch.corrcoef(flat) - torch.eye(len(flat))).abs().max() < 0.9, "two of members and months are one"


def kept(step, score, free=None, refused=""):
    found = {} if free is None else {"score": free, "refused": refused}
    return {"step": step, "score": score, "weights": {}, "found": found}


def test_the_best_free_run_that_did_not_run_away_is_chosen():
    steady, early, gone = kept(30, 0.4, 0.51), kept(10, 0.3, 0.52), kept(20, 0.2, 0.5, "it ran away")
    assert candidates.choose([early, gone, steady]) is steady
    assert candidates.choose([gone, kept(1, 0.1, math.nan), kept(2, 0.1, 0.6, "it ran away")]) is gone
    assert candidates.choose([kept(1, 0.2), kept(2, 0.1)])["step"] == 2
    with pytest.raises(RuntimeError, match="no validation score was finite; lower training.learning_rate"):
        candidates.choose([kept(1, 0.2, math.nan)])


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({"candidates": 3}, [2, 4, 6]), ({"candidates": 1}, [4]), ({"candidates": 3, "validation_members": 0}, [4])],
)
def test_the_best_one_step_scores_and_the_last_weights_are_kept(settings, steps):
    config, found = TrainingConfig(**settings), []
    for step, score in enumerate([0.5, 0.3, 0.4, 0.1, math.nan, 0.6], start=1):
        found = candidates.keep(found, step, score, {"w": torch.tensor(float(step))}, config)
    assert sorted(entry["step"] for entry in found) == steps
    assert all(entry["weights"]["w"] == entry["step"] for entry in found)


def test_a_single_member_is_refused():
    with pytest.raises(ValueError, match="training.validation_members is 1; a spread needs at least 2"):
        TrainingConfig(validation_members=1)


def test_killed_between_its_free_runs_and_started_again_equals_uninterrupted(folder, tmp_path, monkeypatch):
    judge, judged = candidates.judge, []

    def killed_in_the_second(*given):
        judged.append(given)
        if len(judged) == 2:
            raise KeyboardInterrupt
        return judge(*given)

    paths = [str(tmp_path / name) for name in ("c.zip", "state", "metrics.csv")]
    arguments = str(folder / "training.nc"), model_data.SMALL, 3, *paths
    monkeypatch.setattr(candidates, "judge", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train.train(*arguments)
    monkeypatch.setattr(train, "month_inputs", lambda *_: pytest.fail("there is nothing to learn from them any more"))
    train.train(*arguments, validation=str(tmp_path / "validation.csv"))
    assert len(judged) == 3, "the first free run was made again"
    assert filecmp.cmp(tmp_path / "c.zip", folder / "c.zip", shallow=False)
    assert filecmp.cmp(tmp_path / "metrics.csv", folder / "metrics.csv", shallow=False)
    with open(tmp_path / "metrics.csv") as file:
        scores = {row["step"]: float(row["free_run_score"]) for row in csv.DictReader(file) if row["free_run_score"]}
    provenance = checkpoint.load(tmp_path / "c.zip")[2]
    assert len(scores) == 2 and provenance["best_step"] == int(min(scores, key=scores.__getitem__))
    with open(tmp_path / "validation.csv") as file:
        rows = {(row["measure"], row["name"]): row for row in csv.DictReader(file)}
    crps = [float(rows["CRPS (climatological spread)", name]["run"]) for name in model_data.NAMES]
    assert np.mean(crps) == pytest.approx(provenance["free_run"]["score"], rel=1e-4)
    assert json.dumps(provenance)  # numbers and texts alone
