"""What calibration makes equal: means and variance of a free run of the training months, in every calendar month."""

import numpy as np
import pytest
import torch

from model import calibration, checkpoint, data, noise
from model.climatology import Climatology
from model.simulate import free_run
from model.sphere import Grid, row_weights
from tests.helpers import model_data
from tests.helpers.model_networks import untrained_model

GRID = Grid(19, 36)


@pytest.mark.parametrize(("mean", "deviation"), [(2.0, 0.5), (0.3, 1.0), (-0.5, 0.7)])
def test_the_offset_of_roots_gives_the_mean_of_squares(mean, deviation):
    """Roots below zero stand for zero, so that the closed form is not that of a square."""
    roots = np.random.default_rng(0).normal(mean, deviation, 400_000)
    wanted = 0.8 * np.square(roots.clip(0)).mean()
    one = torch.ones(1, 1, dtype=torch.float64)
    offset = calibration.offset_of_roots(mean * one, deviation * one, wanted * one, scale=0.5).item()
    assert np.square((roots - 0.5 * offset).clip(0)).mean() == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("wanted", [0.0, -1e-18])
def test_the_offset_of_a_root_that_is_always_zero_stays_small(wanted):
    """Deserts of a model: zero and what it becomes by rounding are means that no root has."""
    root = torch.full((1, 1), 1e-9, dtype=torch.float64)
    offset = calibration.offset_of_roots(root, root, torch.full_like(root, wanted), scale=0.5).item()
    assert abs(offset) < 0.05


def test_a_calibrated_run_has_the_mean_and_the_variance_of_the_data(tmp_path):
    """Of networks that never trained; in physical units, and with other noise than they were calibrated with."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=12 * 16))
    model = untrained_model(months)
    calibration.calibrate(model, months, 6, 5)
    inside = np.flatnonzero(months.split == data.TRAINING)
    physical = data.ToPhysical(months.metadata, torch.device("cpu"))
    run, known = (calibration.Moments(months.fields.shape[1:], torch.device("cpu")) for _ in range(2))
    mean = torch.zeros(2, *months.fields.shape[1:], dtype=torch.float64)
    with torch.inference_mode():
        for index, fields in zip(inside, free_run(model, months, inside, 6, 5, noise.VALIDATION_RUN), strict=True):
            month, observed = months.dates[index][1], months.fields[index : index + 1]
            mean += torch.stack([physical(fields, month).mean(0), physical(observed, month)[0]]) / len(inside)
            _, response = model.split_forced(months.forcings[index : index + 1], torch.tensor([month]))
            run.add(fields - response, month)
            known.add(observed - response, month)
    rows = row_weights(model.grid.nlat)
    spread = known.variance.mean(0).sqrt()
    normalized = (mean[0] - mean[1]) / physical.scale.double()
    for channel in range(len(spread)):
        found, wanted = ((moments.variance.mean(0)[channel] * rows).mean().item() for moments in (run, known))
        # Global means that are held take some of it, which of networks that never trained is much.
        assert found == pytest.approx(wanted, rel=0.25), channel
        if months.metadata.channels[channel].transform == "none":
            error = ((normalized[channel].square() * rows).mean() / (spread[channel].square() * rows).mean()).sqrt()
            assert error < 0.25, channel
        else:
            found, wanted = ((values[channel] * rows).mean().item() for values in mean)
            assert found == pytest.approx(wanted, rel=0.03), channel


@pytest.mark.parametrize("transform", ["none", "sqrt"])
def test_a_run_like_the_sample_is_brought_to_the_climate(transform):
    """In every month by as much as the two differ, of fields and of roots, which no climate turns below zero."""
    random, scale, center, deviation = torch.Generator().manual_seed(3), 0.5, 0.4, 0.2
    known = 1 + 0.1 * torch.randn(12, 1, *GRID, generator=random).double()  # in units of the field, or of its root
    wanted = known + 0.1 * torch.randn(12, 1, *GRID, generator=random).double()
    wanted[6, 0, :5] = -0.5
    channel = data.Channel("tp", "tp", None, transform, "m", 0, 1)
    metadata = data.Metadata(
        [channel], [], [], *GRID, np.full((12, 1, 1, 1), center), np.array([scale]), np.zeros(0), np.ones(0)
    )
    physical = known if transform == "none" else known.square() + deviation**2
    sample, cycle = ((values - center) / scale for values in (known, wanted))
    variance = torch.full_like(sample, (deviation / scale) ** 2)
    right = calibration.offset_of_run(sample, variance, Climatology(sample, sample), physical, metadata)
    assert right.abs().max() < 1e-3, "of what the run has right nothing is taken off"
    found = calibration.offset_of_run(sample, variance, Climatology(sample, cycle), physical, metadata)
    left = (sample - found) * scale + center
    far = wanted > 3 * deviation if transform == "sqrt" else wanted < torch.inf
    assert torch.allclose(left[far], wanted[far], atol=1e-3)
    assert left[6, 0, :5].max() < 0.1


def test_members_of_opposite_noise_tell_the_mean_of_a_run_and_vary_as_others(tmp_path):
    """Of networks that never trained; by two seeds, whose means differ by what neither has to do with the climate."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=12 * 10))
    model, inside = untrained_model(months), np.arange(24, len(months.dates))
    means, variances = {}, {}
    with torch.inference_mode():
        for mirrored in (False, True):
            for seed in (1, 2):
                run = calibration.Moments(months.fields.shape[1:], torch.device("cpu"))
                for index, fields in calibration.run_of(model, months, inside, 4, seed, mirrored=mirrored):
                    run.add(fields, months.dates[index][1])
                means[mirrored, seed], variances[mirrored, seed] = run.mean, run.variance.mean()
    apart, paired = ((means[mirrored, 1] - means[mirrored, 2]).square().mean() for mirrored in (False, True))
    assert paired < 0.4 * apart, "random networks are far from linear, trained ones have a hundredth"
    assert variances[True, 1] == pytest.approx(variances[False, 1].item(), rel=0.1)


def test_members_that_are_no_pairs_get_one_more(tmp_path):
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=36))
    model, inside = untrained_model(months), np.arange(3)
    shapes = {
        members: {len(fields) for _, fields in calibration.run_of(model, months, inside, members, 1, mirrored=True)}
        for members in (1, 3, 4)
    }
    assert shapes == {1: {2}, 3: {4}, 4: {4}}


def test_a_second_calibration_gives_what_the_first_gave(tmp_path):
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=12 * 12))
    model = untrained_model(months)
    found = []
    for _ in range(2):
        calibration.calibrate(model, months, 1, 5)
        found.append({name: value.clone() for name, value in model.state_dict().items()})
        assert model.residual is not None
        model.residual.means.kept.fill_(0.5)  # as if global means were held
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_a_year_of_training_says_nothing_of_variance(folder):
    months = data.read_months(folder / "training.nc")
    model, *_ = checkpoint.load(folder / "c.zip")
    fresh = checkpoint.new_model(model.config, months.metadata, months.statics).eval()
    split = np.full(len(months.split), data.VALIDATION)
    split[:12] = data.TRAINING
    calibration.calibrate(fresh, data.dataclasses.replace(months, split=split), 2, 5)
    assert not fresh.residual.mixing.any() and fresh.climate_offset.any()
    assert torch.equal(fresh.climate_offset, fresh.climate_offset[:1].expand(12, -1, -1, -1)), "nor of seasons"
