"""The long run: a planted runaway is refused in a sentence, and what is steady is measured against the reference."""

import json

import numpy as np
import pytest
import torch

from model import checkpoint, data, long_run
from model.reference_climate import Climate, Viewer, block_means
from tests.helpers import model_data


class Known(Climate):
    """A climate of two indices whose blocks of a year have means of -1 to 1 and 0, both of unit one."""

    def __init__(self):
        self.series = np.zeros((36, 2))
        self.series[:12, 0], self.series[24:, 0] = -1, 1
        self.units = np.array([1.0, 1.0])
        self.names = ["the global mean of t2m (K)", "the amplitude of pattern 1"]


def test_what_leaves_the_range_of_the_reference_is_named_with_block_and_value():
    run = np.zeros((2, 40, 2))
    run[1, 12:24, 0] = 3.9
    assert Known().runaway(run, 12) is None
    run[1, 12:24, 0] = 4.25
    sentence = Known().runaway(run, 12)
    assert sentence.startswith(
        "member 2 ran away in months 13 to 24: the global mean of t2m (K) is on average 4.25 off"
    )
    assert "allowed are -4 to 4" in sentence
    # The third block takes the rest, months 25 to 40.
    run[1, 12:24, 0], run[0, 24:, 1] = 0, -3.1
    assert "member 1 ran away in months 25 to 40: the amplitude of pattern 1" in Known().runaway(run, 12)


def test_an_oscillation_that_is_too_strong_is_a_runaway_though_its_mean_stays():
    run = np.zeros((1, 60, 2))
    run[0, :, 1] = 3.5 * 2**0.5 * np.sin(2 * np.pi * np.arange(60) / 5)
    assert "pattern 1 has a standard deviation of 3.5, allowed is 3" in Known().runaway(run, 60)
    run[0, :, 1] *= 2.5 / 3.5
    assert Known().runaway(run, 60) is None


def test_a_wrong_season_is_no_runaway_but_a_growing_one_is():
    season = 6 * np.sin(2 * np.pi * np.arange(48) / 12)
    run = np.zeros((1, 48, 2))
    run[0, :, 0] = season
    assert Known().runaway(run, 12) is None
    run[0, 36:, 0] *= 3
    assert "in months 37 to 48: the global mean of t2m (K) has a standard deviation of 8.485" in Known().runaway(
        run, 12
    )


def test_what_is_not_finite_is_a_runaway_unless_it_ran_away_before():
    run = np.zeros((2, 24, 2))
    run[1, 20:, 0] = np.nan
    sentence = "member 2 ran away in month 21: the global mean of t2m (K) is not a finite number."
    assert Known().runaway(run, 12) == sentence
    run[0, 14:20, 1] = 1e9
    assert "member 1 ran away in months 1 to 20: the amplitude of pattern 1" in Known().runaway(run, 20)
    assert Known().runaway(run[:, 20:], 12).startswith("member 2 ran away in month 1:")


def run(folder, out, months=60, model="c.zip", forcing="aimip.nc"):
    paths = [str(folder / name) for name in (model, "initial.nc", forcing, "training.nc")]
    long_run.long_run(*paths, months, 2, 4, str(out / "long_run.json"), str(out / "long_run.csv"))
    return json.loads((out / "long_run.json").read_text())


@pytest.mark.parametrize("keep", [0.0, 0.95])
def test_decades_of_a_long_run_vary_as_much_as_those_of_a_short_one_of_the_same_climate(keep):
    """Though of four decades their deviation comes out too small."""
    random, months = np.random.default_rng(1), np.zeros((1, 10_000, 400))
    for month in range(1, 10_000):
        months[0, month] = keep * months[0, month - 1] + random.normal(size=400)
    short, whole = months[:, :480], months[:, 480:]
    ratio = long_run.block_deviation(whole, 120, 480) / long_run.block_deviation(short, 120, 480)
    assert np.median(ratio) == pytest.approx(1, abs=0.1)
    assert np.median(block_means(whole, 120).std((0, 1)) / block_means(short, 120).std((0, 1))) > 1.15


def test_a_steady_run_is_measured_against_the_reference(folder, tmp_path):
    found = run(folder, tmp_path)
    assert found["passed"] and (found["months"], found["members"], found["block_months"]) == (60, 2, 36)
    indices = {row["index"]: row for row in found["indices"]}
    row = indices["the global mean of t2m less its forced response (K)"]
    assert row["allowed_low"] <= row["lowest_block"] <= row["highest_block"] <= row["allowed_high"]
    assert len(row["blocks"]) == 2 and len(row["blocks"][0]) == 1
    patterns = [row for name, row in indices.items() if "pattern" in name]
    assert [row["reference_std"] for row in patterns] == pytest.approx([1] * len(patterns), rel=1e-2)
    lines = (tmp_path / "long_run.csv").read_text().splitlines()
    assert len(lines) == 1 + len(indices) and not list(tmp_path.glob("*.partial"))
    assert run(folder, tmp_path) == found


def test_a_memory_that_grows_is_refused_and_nothing_is_written(folder, tmp_path):
    """The latents' memory is planted: a pattern grows by a half each month."""
    model, metadata, provenance = checkpoint.load(folder / "c.zip")
    pattern = torch.nn.functional.normalize(torch.ones_like(model.latents.memory_from[0]), dim=0)
    model.latents.memory_from[0], model.latents.memory_to[0] = pattern, 1.5 * pattern
    checkpoint.save(folder / "planted.zip", model, model.state_dict(), metadata, provenance)
    with pytest.raises(
        RuntimeError, match=r"ran away in months \d+ to \d+: the (global mean|amplitude) of .*train again"
    ):
        run(folder, tmp_path, model="planted.zip")
    assert not list(tmp_path.iterdir())


def test_a_sea_warmer_than_any_the_reference_has_seen_is_no_runaway(folder):
    """But what runs as warm under the reference's own sea is one."""
    model, metadata, _ = checkpoint.load(folder / "c.zip")
    months = data.read_months(folder / "training.nc")
    model.forced.response[0] = 1.0
    viewer = Viewer(model, metadata)
    each = [(months.fields[[i]], months.forcings[[i]]) for i in range(len(months.dates))]
    reference = Climate(viewer, each, months.dates)
    sea = (months.forcings[:, :1] != 0).any(0)
    runs = {"warm": [], "runaway": []}
    for (fields, forcing), (_, month) in zip(each, months.dates, strict=True):
        warm = forcing.clone()
        warm[:, :1] += 10 * sea
        number = torch.tensor([month])
        warmed = fields + model.forced.respond(warm, number)[1] - model.forced.respond(forcing, number)[1]
        assert (warmed - fields).mean() > 5
        for name, given in (("warm", warm), ("runaway", forcing)):
            runs[name].append(reference.indices(viewer(warmed, given, month), month))
    assert reference.runaway(np.stack(runs["warm"], axis=1), 12) is None
    assert "member 1 ran away in months 1 to 12" in reference.runaway(np.stack(runs["runaway"], axis=1), 12)


def test_whole_years_of_the_sea_follow_each_other(folder, tmp_path, monkeypatch):
    """Of 14 months 12 are repeated, and calendar months stay with their own sea."""
    seen = {}

    def simulate(model, initial, observed, dates, forcing, members, seed, stream):
        seen.update(dates=dates, same=torch.equal(forcing(13), forcing(1)), other=torch.equal(forcing(13), forcing(2)))
        yield from (initial.expand(2, -1, -1, -1) for _ in dates)

    monkeypatch.setattr(long_run, "simulate", simulate)
    run(folder, tmp_path, months=28)
    assert seen["same"] and not seen["other"]
    assert seen["dates"][0] == (1978, 10) and seen["dates"][12] == (1979, 10) and seen["dates"][27] == (1981, 1)


def test_a_sea_of_less_than_a_year_is_refused(folder, tmp_path):
    model_data.write_normalized_forcing(folder / "short.nc", count=11)
    with pytest.raises(ValueError, match="short.nc has 11 months; the long run repeats whole years"):
        run(folder, tmp_path, forcing="short.nc")
