"""Global means that are held as still as the data's: against closed forms, and runs of data whose means are known."""

import netCDF4
import numpy as np
import pytest
import torch

from model import calibration, checkpoint, data, noise
from model.global_means import GlobalMeans
from model.simulate import free_run
from model.sphere import Grid, row_weights
from tests.helpers import model_data
from tests.helpers.model_networks import FIELDS, area_mean, make_model, make_pairs, untrained_model

GRID = Grid(19, 36)


def test_global_means_vary_no_more_than_the_data_allow():
    """Of a field, and of the square of another; each by its own share, and the rain by a factor."""
    means = GlobalMeans(2, GRID)
    lat = torch.linspace(-1, 1, GRID.nlat)[:, None].expand(*GRID)
    shift = (0.3 + lat).expand(12, 1, *GRID)
    means.know_roots(torch.tensor([False, True]), shift)
    usual, slope = torch.tensor([0.2, 3.0]).expand(12, 2), torch.tensor([0.5, -0.1]).expand(12, 2)
    none = torch.zeros(2)
    means.fit(usual, slope, none, torch.tensor([0.25, 0.5]))
    x = torch.randn(4, 2, *GRID) + 0.5
    still = means.hold(x.clone(), 2.0, means.held(5))

    def departures(x):
        rain = (x[:, 1] + shift[0, 0]).clamp_min(0).square()
        return torch.stack([area_mean(x[:, 0]) - 1.2, area_mean(rain) - 2.8], dim=1)

    assert departures(still).numpy() == pytest.approx((departures(x) * torch.tensor([0.25, 0.5])).numpy(), rel=1e-3)
    assert (still - x)[:, 0].std((1, 2)).max() < 1e-5
    # It rains where it rained, in the same places the same share more.
    before, after = ((values[:, 1] + shift[0, 0]) for values in (x, still))
    assert torch.equal(before > 0, after > 0)
    assert (after / before).std((1, 2)).max() < 1e-3 and (after / before).std() > 1e-3
    means.fit(usual, slope, none, torch.ones(2))
    same = means.hold(x.clone(), 2.0, means.held(5))
    assert torch.allclose(same, x)


@pytest.mark.parametrize("warming", [-3.0, 5.0])
def test_what_a_warming_makes_of_a_root_is_no_departure_however_warm(warming):
    """The root is linear in it, the field its square: (r + R p)^2 at every place."""
    means = GlobalMeans(1, GRID)
    lat = torch.linspace(-1, 1, GRID.nlat)[:, None].expand(*GRID)
    root, response, shift = 3 + lat, 0.3 + 0.2 * lat.square(), 1.0
    means.know_roots(torch.tensor([True]), torch.full((12, 1, *GRID), shift))
    usual, slope, bend = (
        area_mean(maps).reshape(1) for maps in (root.square(), 2 * root * response, response.square())
    )
    means.fit(usual.expand(12, 1), slope.expand(12, 1), bend, torch.tensor([0.1]))
    x = (root + response * warming - shift).expand(2, 1, *GRID)
    assert torch.allclose(means.hold(x.clone(), warming, means.held(7)), x, atol=1e-4)


@pytest.mark.parametrize("count", [12 * 12, 12 * 8])
def test_rain_varies_from_year_to_year_as_in_the_data(tmp_path, count):
    """Of data whose global rain varies little, though much of what noise adds to a run is its square."""
    path = model_data.write_months(tmp_path / "training.nc", count=count)
    with netCDF4.Dataset(path, "a") as dataset:
        (channel,) = (dataset["transform"][:] == "sqrt").nonzero()[0][:1]
        center, scale = dataset["center"][:].filled()[:, channel], float(dataset["scale"][channel])
        roots = dataset["fields"][:, channel].filled() * scale + np.resize(center, (count, *center.shape[1:]))
        rows = row_weights(roots.shape[1]).numpy()
        rain = (np.clip(roots, 0, None) ** 2 * rows).mean((1, 2))
        known = rain[:12].mean() * (1 + 1e-3 * np.random.default_rng(1).standard_normal(count))
        held = np.clip(roots, 0, None) * np.sqrt(known / rain)[:, None, None]
        dataset["fields"][:, channel] = (held - np.resize(center, (count, *center.shape[1:]))) / scale
    months = data.read_months(path)
    model = untrained_model(months)
    calibration.calibrate(model, months, 2, 5)
    inside = np.flatnonzero(months.split == data.TRAINING)
    physical = data.ToPhysical(months.metadata, torch.device("cpu"))
    with torch.inference_mode():
        run = [
            area_mean(physical(fields, months.dates[index][1])[:, channel])
            for index, fields in zip(inside, free_run(model, months, inside, 2, 5, noise.VALIDATION_RUN), strict=True)
        ]
    checkpoint.save(tmp_path / "c.zip", model, model.state_dict(), months.metadata, {})
    again, *_ = checkpoint.load(tmp_path / "c.zip")
    held = model.residual.scales(7).held
    assert channel in held.places and held.root[held.places == channel].all() and held.shift.any()
    assert all(torch.equal(*both) for both in zip(held, again.residual.scales(7).held, strict=True))
    years = torch.stack(run)[: len(run) // 12 * 12].unflatten(0, (-1, 12)).mean(1)
    wanted = known[inside][: len(run) // 12 * 12].reshape(-1, 12).mean(1).std(ddof=1)
    assert years.std(0).numpy() == pytest.approx(wanted, rel=0.5)


def test_what_a_warmer_sea_makes_of_a_global_mean_is_its_derivative(tmp_path):
    """Of a field, and of squares of roots: b against a finite difference of <X> of the data + p_0 R_0."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=12 * 12))
    model = untrained_model(months)
    model.forced.response[0].normal_(0, 0.1)
    calibration.fit_means(model, months, inside := np.flatnonzero(months.split == data.TRAINING), 1, 5)
    july = [index for index in inside if months.dates[index][1] == 7]
    held = model.residual.means.held(7, torch.arange(len(months.metadata.channels)))
    assert held.root.any() and not held.root.all()
    means = [
        model.residual.means.of(months.fields[july].double() + step * model.forced.response[0], held).mean(0)
        for step in (-1e-3, 1e-3)
    ]
    assert (means[1] - means[0]).flatten().numpy() / 2e-3 == pytest.approx(held.slope.flatten().numpy(), rel=0.02)


def test_the_mass_of_the_air_is_held(tmp_path):
    """Data whose first field has no global mean, and networks that never heard of it."""
    path = model_data.write_months(tmp_path / "training.nc", count=12 * 12)
    with netCDF4.Dataset(path, "a") as dataset:
        values = torch.from_numpy(dataset["fields"][:, 0].filled())
        mean = (values * row_weights(values.shape[-2])).mean((1, 2), keepdim=True)
        dataset["fields"][:, 0] = (values - mean).numpy()
    months = data.read_months(path)
    model = untrained_model(months)
    calibration.calibrate(model, months, 2, 5)
    assert model.residual.means.kept[0] < 0.01
    inside = np.flatnonzero(months.split == data.TRAINING)
    rows = row_weights(model.grid.nlat)
    with torch.inference_mode():
        run = [fields[:, 0] for fields in free_run(model, months, inside, 2, 5, noise.VALIDATION_RUN)]
    deviation = torch.stack([(fields * rows).mean((1, 2)) for fields in run]).std(0)
    assert deviation.max() < 0.02 * torch.stack(run).std()


@torch.no_grad()
def test_a_global_mean_that_is_held_still_follows_a_uniform_warming():
    """What is held is what departs from the response to the sea's mean: all but that of the response at each place."""
    model, pairs = make_model(residual_noise=True), make_pairs()
    forcing, month = pairs.forcing[:1], pairs.month[:1]
    warm = forcing.clone()
    warm[:, 0] += 4 * model.forced.sea
    per_unit = area_mean(model.forced.response[0])
    still = torch.zeros(FIELDS), torch.full((FIELDS,), 1e-6)
    model.residual.means.fit(torch.zeros(12, FIELDS), per_unit.expand(12, -1), *still)
    means = []
    for sea in (forcing, warm):
        _, response = model.split_forced(sea, month)
        warming = model.conditions(sea, month).uniform[..., None]
        fields = model.residual.complete(response.clone(), response[0], warming, model.residual.scales(1), None)
        means.append(area_mean(fields)[0])
    wanted = 4 / model.forced.spread[0] * per_unit
    assert (means[1] - means[0]).numpy() == pytest.approx(wanted.flatten().numpy(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("years", "ratio", "least", "most"),
    [
        (5, 1.0, 0.92, 1.0),
        (10, 1.0, 0.95, 1.0),
        (30, 1.0, 0.97, 1.0),
        (10, 0.3, 0.28, 0.36),
        (30, 0.6, 0.58, 0.66),
    ],
)
def test_a_run_as_variable_as_the_data_is_not_held_and_a_wilder_one_is(years, ratio, least, most):
    """Mean over drawn records, `ratio` being the data's deviation over that of the run of four members."""
    draw = torch.Generator().manual_seed(years)
    known = ratio * torch.randn(years, 4000, generator=draw)
    run = torch.randn(years, 4, 4000, generator=draw)
    assert least < calibration.kept_share(known, run).mean() <= most
