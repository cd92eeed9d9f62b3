"""Baselines against what is known of them: AR(1) damping, a planted response, drawn years, a denoiser of zero."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import torch

from model import baselines, checkpoint, data, rollout, run_inputs, simulate
from model.baselines import Options, Sources, open_forecast
from model.response import write_response
from tests.helpers import model_data
from workflow.scripts.common.skill import BASELINES

CHANNELS = len(model_data.CHANNELS)
GRID = 13, 24
SCALE = np.array([channel[8] for channel in model_data.CHANNELS])
CENTER = np.array([channel[7] for channel in model_data.CHANNELS])


def written(folder, fields, initial=None, months=24, steady=False):
    """Sources whose training months hold normalized ``fields`` (time, channels, 13, 24); the validation year follows.

    initial: of 1978-10; steady: a sea that never changes, in training and in the 14 months of the forcing.
    """
    model_data.write_months(folder / "training.nc", count=months + 12)
    model_data.write_months(folder / "initial.nc", first=(1978, 10), count=1, validation=0)
    model_data.write_normalized_forcing(folder / "forcing.nc")
    for name, values in (("training.nc", fields), ("initial.nc", initial), ("forcing.nc", None)):
        with netCDF4.Dataset(folder / name, "a") as dataset:
            if values is not None:
                dataset["fields"][: len(values)] = values
            if steady:
                dataset["forcings"][:] = model_data.forcings([(1979, 1)], *GRID)[0]
    return Sources(*(str(folder / name) for name in ("training.nc", "initial.nc", "forcing.nc")))


def forecast(name, sources, member=1, modes=2, seed=5):
    """(dates, physical fields (month, channels, 13, 24)) of a baseline."""
    if sources.training is not None and name in baselines.REGRESSIONS:
        fitted = Path(sources.training).with_name("response.npz")
        write_response(sources.training, modes, fitted)
        sources = sources._replace(response=str(fitted))
    with open_forecast(name, sources, Options(member, seed)) as opened:
        return opened.dates, np.stack(list(opened.fields))


def normalized(fields):
    """What physical fields of channels without a transform were normalized from; q850, a square, is left out."""
    plain = [0, 2, 3]
    return ((fields - CENTER[:, None, None]) / SCALE[:, None, None])[:, plain]


def season(count, first=1):
    months = np.arange(first - 1, first - 1 + count) % 12
    return np.cos(2 * np.pi * months / 12)[:, None, None, None] * np.ones((1, CHANNELS, *GRID))


def test_the_workflow_knows_the_baselines_by_their_names():
    assert set(baselines.NAMES) == set(BASELINES)


def test_persistence_damps_the_initial_anomaly_by_the_lag_one_correlation(tmp_path):
    """A year of +1 and a year of -1: of 23 pairs of months 22 agree and one does not, so that r = 21 / 23."""
    anomaly = np.repeat([1.0, -1.0], 12)[:, None, None, None] * np.ones((1, CHANNELS, *GRID))
    initial = season(1, first=10) + 0.8
    dates, found = forecast("persistence", written(tmp_path, season(24) + anomaly, initial))
    expected = season(14, first=10) + 0.8 * (21 / 23) ** np.arange(14)[:, None, None, None]
    assert dates[0] == (1978, 10) and len(dates) == 14
    assert normalized(found) == pytest.approx(expected[:, [0, 2, 3]], abs=1e-3)


def test_the_lag_one_correlation_of_red_noise_is_found_and_never_negative():
    random, series = np.random.default_rng(1), np.zeros((24_000, 1, 2))
    for month in range(1, len(series)):
        series[month] = np.array([0.8, -0.5]) * series[month - 1] + random.normal(size=(1, 2))
    months = torch.arange(len(series)) % 12 + 1
    found = baselines.lag_one(torch.from_numpy(series), months)
    assert found[0].tolist() == pytest.approx([0.8, 0.0], abs=0.02)
    assert not baselines.lag_one(torch.ones(36, 1, 2), torch.arange(36) % 12 + 1).any()


def test_the_regression_recovers_a_planted_linear_response_exactly(tmp_path):
    lat, lon = (np.deg2rad(axis) for axis in model_data.axes(*GRID))
    maps = [np.cos(lat)[:, None] * np.cos(lon), 1 + np.sin(lat)[:, None] ** 2 + 0 * lon]

    def planted(amplitude, trend, first):
        response = amplitude[:, None, None] * maps[0] + trend[:, None, None] * maps[1]
        return season(len(amplitude), first) + response[:, None]

    dates = model_data.months((1979, 1), 132)
    _, amplitude, trend = model_data.forcings(dates, *GRID)
    sources = written(tmp_path, planted(amplitude[:120], trend[:120], 1), months=120)
    dates, found = forecast("regression", sources)
    _, amplitude, trend = model_data.forcings(dates, *GRID)
    assert normalized(found) == pytest.approx(planted(amplitude, trend, 10)[:, [0, 2, 3]], abs=5e-3)


def test_with_residuals_a_training_month_is_drawn_where_the_sea_never_changes(tmp_path):
    random = np.random.default_rng(2)
    fields = season(60) + random.normal(size=(60, CHANNELS, *GRID))
    sources = written(tmp_path, fields, months=60, steady=True)
    drawn = {}
    sample, cycle = baselines.climatology(data.training_months(data.read_months(sources.training)))
    for member in (1, 2):
        dates, found = forecast("regression+residuals", sources, member)
        about = (cycle - sample).numpy()[[month - 1 for _, month in dates]][:, [0, 2, 3]]
        distance = np.abs((normalized(found) - about)[:, None] - fields[None, :, [0, 2, 3]]).max((2, 3, 4))
        assert distance.min(1).max() < 1e-3, "a month is none of training's"
        drawn[member] = distance.argmin(1)
        assert [index % 12 + 1 for index in drawn[member]] == [month for _, month in dates]
        assert np.diff(drawn[member])[3:].tolist() == [1] * 10, "months of a year do not follow one another"
        assert np.array_equal(forecast("regression+residuals", sources, member)[1], found)
    assert drawn[1].tolist() != drawn[2].tolist()


def test_drawn_years_keep_season_variance_and_memory_and_differ_by_member():
    training, dates = model_data.months((1985, 1), 360), model_data.months((1978, 10), 12_003)
    random, series = np.random.default_rng(3), np.zeros(360)
    for month in range(1, 360):
        series[month] = 0.8 * series[month - 1] + random.normal()
    series += 5 * np.cos(2 * np.pi * np.arange(360) / 12)
    places = np.array(baselines.residual_months(dates, training, 1, 7))
    assert [training[place][1] for place in places] == [month for _, month in dates]
    drawn = series[places][3:].reshape(1000, 12)
    years = series.reshape(30, 12)
    assert drawn.mean(0) == pytest.approx(years.mean(0), abs=0.25)
    assert drawn.std(0) == pytest.approx(years.std(0), rel=0.1)
    assert drawn.mean(1).std() == pytest.approx(years.mean(1).std(), rel=0.1)
    assert set(places // 12) == set(range(30))
    assert baselines.residual_months(dates, training, 1, 7) == places.tolist()
    for other in ((2, 7), (1, 8)):
        assert baselines.residual_months(dates, training, *other) != places.tolist()


def test_years_begin_where_training_begins():
    training, dates = model_data.months((1990, 6), 30), model_data.months((1978, 10), 36)
    places = baselines.residual_months(dates, training, 1, 0)
    assert [training[place][1] for place in places] == [month for _, month in dates]
    assert max(places) < 24, "the last half year is no whole one"
    breaks = [month for (_, month), step in zip(dates[1:], np.diff(places), strict=True) if step != 1]
    assert set(breaks) <= {6}


def test_without_diffusion_is_a_model_whose_denoiser_says_zero(folder, tmp_path):
    model, metadata, provenance = checkpoint.load(folder / "c.zip", torch.device("cpu"))
    with torch.no_grad():
        model.denoiser.out.weight.zero_()
        model.denoiser.out.bias.zero_()
    checkpoint.save(tmp_path / "silent.zip", model, model.state_dict(), metadata, provenance)
    inputs = [str(folder / name) for name in ("initial.nc", "aimip.nc")]
    rollout.rollout(str(tmp_path / "silent.zip"), *inputs, [1, 2], 5, str(tmp_path / "r{member}.nc"))
    with data.open_dataset(tmp_path / "r2.nc") as dataset:
        silent = np.stack([dataset[name][:] for name in model_data.NAMES], axis=1)
    sources = Sources(None, *inputs, str(folder / "c.zip"))
    _, found = forecast("no-diffusion", sources, member=2)
    assert silent == pytest.approx(found, rel=1e-5)
    rollout.rollout(str(folder / "c.zip"), *inputs, [2], 5, str(tmp_path / "full{member}.nc"))
    with data.open_dataset(tmp_path / "full2.nc") as dataset:
        assert np.array_equal(dataset["t850"][0], found[0, 0]), "the first month is before any diffusion"
        assert np.abs(dataset["t850"][:] - found[:, 0]).max() > 1e-3


def test_a_member_without_diffusion_is_the_same_in_any_block(folder):
    inputs = [str(folder / name) for name in ("initial.nc", "aimip.nc")]
    _, alone = forecast("no-diffusion", Sources(None, *inputs, str(folder / "c.zip")), member=3)
    model, metadata, _ = checkpoint.load(folder / "c.zip", torch.device("cpu"))
    fields, observed = run_inputs.match_initial(data.read_months(inputs[0]), metadata, inputs[0])
    physical = data.ToPhysical(metadata, torch.device("cpu"))
    with run_inputs.open_forcing(inputs[1], metadata, (1978, 10)) as forcing:
        run = simulate.simulate(
            model, fields, observed, forcing.dates, forcing.month, [1, 3], 5, baselines.WithoutDiffusion
        )
        block = [physical(months[1], month).numpy() for months, (_, month) in zip(run, forcing.dates, strict=True)]
    assert np.array_equal(alone, np.stack(block))


def test_a_source_that_is_missing_is_named(folder):
    inputs = [str(folder / name) for name in ("initial.nc", "aimip.nc")]
    with pytest.raises(ValueError, match="the baseline regression needs the file 'training'"):
        forecast("regression", Sources(None, *inputs))
    with pytest.raises(ValueError, match="the baseline no-diffusion needs the file 'checkpoint'"):
        forecast("no-diffusion", Sources(str(folder / "training.nc"), *inputs))
    with pytest.raises(ValueError, match="the baseline regression needs the file 'response'"):
        with open_forecast("regression", Sources(str(folder / "training.nc"), *inputs), Options(1, 5)):
            pass


def test_a_response_that_does_not_fit_is_refused(tmp_path):
    sources = written(tmp_path, season(24))
    write_response(sources.training, 2, tmp_path / "whole.npz")
    with np.load(tmp_path / "whole.npz") as whole:
        arrays = dict(whole)
    with open_forecast("regression", sources._replace(response=str(tmp_path / "whole.npz")), Options(1, 5)):
        pass
    np.savez(tmp_path / "fields.npz", **arrays | {"response": arrays["response"][:, 1:]})
    np.savez(tmp_path / "grid.npz", **{name: values[..., 1:] for name, values in arrays.items()})
    np.savez(tmp_path / "cut.npz", patterns=arrays["patterns"])
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").touch()
    for name in ("fields.npz", "grid.npz", "cut.npz", "text.npz", "empty.npz", "absent.npz"):
        response = str(tmp_path / name)
        with pytest.raises(ValueError, match=f"{name} is no response of these training months, fit it again"):
            with open_forecast("regression", sources._replace(response=response), Options(1, 5)):
                pass


def test_too_few_training_months_are_told(tmp_path):
    sources = written(tmp_path, season(6), months=6)
    with pytest.raises(ValueError, match="has 6 training months, which must be 12 or more"):
        forecast("persistence", sources)
