"""The first guess of what a uniform warming does, and what the response to the sea takes of it."""

import dataclasses

import numpy as np
import pytest
import torch

from model import data
from model.first_guess import fit, known_means, sea_of, uniform_warming
from model.forced import ForcedResponse
from model.sphere import Grid, row_weights
from tests.helpers import model_data


def test_the_thresholds_are_kelvin(tmp_path):
    months = data.read_months(model_data.write_months(tmp_path / "training.nc"))
    months = dataclasses.replace(
        months, metadata=dataclasses.replace(months.metadata, forcing_scale=np.array([2.0, 5.0, 1.0]))
    )
    forced = ForcedResponse(2, months.fields.shape[1], 3, Grid(*months.fields.shape[-2:]))
    fit(forced, months)
    assert forced.thresholds.flatten().tolist() == [-0.5, 0.5]


@pytest.mark.parametrize(("steady", "least", "most"), [(False, 0.0, 0.15), (True, 0.9, 1.0)])
def test_global_rain_goes_from_its_guess_as_far_as_the_sea_warms_steadily(tmp_path, steady, least, most):
    """All fields follow the mean of the sea far more than any guess says, as rain does in years of El Nino."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=156, validation=12))
    sst = months.forcings[:, 0].clone()
    area = row_weights(sst.shape[1])
    sea = (sst != 0).any(0)
    years = torch.linspace(-5, 5, 13)
    order = torch.arange(13) if steady else torch.tensor([6, 1, 11, 0, 9, 3, 12, 5, 8, 2, 10, 4, 7])
    sst += years[order].repeat_interleave(12)[: len(sst), None, None] * sea
    warmth = (sst * sea * area).sum((1, 2)) / (sea * area).sum()
    weather = torch.randn(months.fields.shape, generator=torch.Generator().manual_seed(3))
    channels = list(months.metadata.channels)
    channels[1] = data.Channel("pr", "pr", None, "sqrt", "kg m-2 s-1", 0, 1)
    metadata = dataclasses.replace(months.metadata, channels=channels, forcing_scale=np.array([2.0, 1.0, 1.0]))
    forcings = torch.cat([sst[:, None], months.forcings[:, 1:]], dim=1)
    fields = 5 * warmth[:, None, None, None] + 0.1 * weather
    months = dataclasses.replace(months, metadata=metadata, forcings=forcings, fields=fields)
    forced = ForcedResponse(2, len(channels), 3, Grid(*sst.shape[1:]))
    fit(forced, months)
    # Of a root the mean of the field itself is meant, which changes by twice the root.
    root = torch.from_numpy(metadata.center[:, 1]).mean(0) + float(metadata.scale[1]) * fields[:, 1].mean(0)
    weights = root.clamp_min(0) * area / (root.clamp_min(0) * area).mean()
    found = forced.response[0] / forced.spread[0]
    guess = (uniform_warming(metadata, fields, forcings)[1] * weights).mean()
    assert 0.1 < guess < 1
    assert least < ((found[1] * weights).mean() - guess) / (5 - guess) < most
    assert (found[[0, 2]] * area).mean((1, 2)).numpy() == pytest.approx([5.0, 5.0], rel=0.1)
    # Without a guess, as where nobody tells the scale of the SST, data alone tell it.
    fit(forced, dataclasses.replace(months, metadata=dataclasses.replace(metadata, forcing_scale=np.full(3, np.nan))))
    found = (forced.response[0] / forced.spread[0] * area).mean((1, 2))
    assert found.numpy() == pytest.approx([5.0] * 4, rel=0.1)


def test_land_and_sea_go_from_their_guess_each_by_its_own_error(tmp_path):
    """What is certain at sea stays so, though the weather over land is wild, which a degree of the harmonics mixes."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=240, validation=12))
    sst = months.forcings[:, 0].clone()
    area = row_weights(sst.shape[1])
    sea = (sst != 0).any(0).float()
    sst += torch.linspace(-0.5, 0.5, len(sst))[:, None, None] * sea
    warmth = (sst * sea * area).sum((1, 2)) / (sea * area).sum()
    channels = [data.Channel("tas", "tas", None, "none", "K", 0, 400), *months.metadata.channels[1:]]
    scale = np.concatenate([[2.0], months.metadata.scale[1:]]).astype("f4")
    metadata = dataclasses.replace(
        months.metadata, channels=channels, scale=scale, forcing_scale=np.array([2.0, 1.0, 1.0])
    )
    truth = 1.6 + (0.95 - 1.6) * sea  # K per K, where the guess has 1.25 and 1.03
    random = torch.Generator().manual_seed(3)
    weather = 3 * torch.randn(len(sst), 1, 1, 1, generator=random) * (1 - sea)
    weather = weather + 0.02 * torch.randn(months.fields.shape, generator=random)
    forcings = torch.cat([sst[:, None], months.forcings[:, 1:]], dim=1)
    fields = warmth[:, None, None, None] * truth + weather
    forced = ForcedResponse(2, len(channels), 3, Grid(*sst.shape[1:]))
    fit(forced, dataclasses.replace(months, metadata=metadata, forcings=forcings, fields=fields))
    found = forced.response[0, 0] / forced.spread[0]
    means = [float((found * area * where).sum() / (area * where).sum()) for where in (sea, 1 - sea)]
    assert means[0] == pytest.approx(0.95, abs=0.01)
    assert 1.25 < means[1] < 1.5, "little of so wild a land is told"


def test_few_years_say_what_a_uniform_warming_does_not_change(tmp_path, capsys):
    months = data.read_months(model_data.write_months(tmp_path / "training.nc"))
    channels = [dataclasses.replace(channel, short_name="xyz") for channel in months.metadata.channels]
    channels[2] = data.Channel("ta850", "ta", 850.0, "none", "K", 0, 400)
    metadata = dataclasses.replace(months.metadata, channels=channels, forcing_scale=np.array([2.0, 1.0, 1.0]))
    forced = ForcedResponse(2, len(channels), 3, Grid(*months.fields.shape[-2:]))
    fit(forced, dataclasses.replace(months, metadata=metadata))
    said = capsys.readouterr().err
    names = [channel.name for channel in channels]
    assert f"nothing of {', '.join(names[:2] + names[3:])}" in said
    # By ERA5's name and by CMIP's, in kelvin of land and of sea.
    kelvin = forced.response[0, 2] / forced.spread[0] * float(metadata.scale[2]) / 2
    assert sorted({round(value, 3) for value in kelvin.flatten().tolist()}) == pytest.approx([1.1, 1.25])


def test_the_first_guess_is_hypsometric_and_in_the_units_of_the_table(tmp_path):
    """Against numbers of AIMIP's physics models at +4 K: 4.4 K, 1.25 over land to sea, zg500 +116 m, rain +13 %."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc"))
    channels = [
        data.Channel("z500", "z", 500.0, "none", "m2 s-2", 0, 1e5),
        data.Channel("zg500", "z", 500.0, "none", "m", 0, 1e5),
        data.Channel("t2m", "t2m", None, "none", "K", 0, 400),
        data.Channel("pr", "avg_tprate", None, "sqrt", "kg m-2 s-1", 0, 1),
        data.Channel("t600", "t", 600.0, "none", "K", 0, 400),
        data.Channel("u850", "u", 850.0, "none", "m s-1", 0, 1),
    ]
    center = np.full((12, 6, 1, 1), 5e-3, "f4")
    scale = np.array([500.0, 50.0, 2.0, 1e-3, 2.0, 1.0], "f4")
    metadata = dataclasses.replace(
        months.metadata, channels=channels, center=center, scale=scale, forcing_scale=np.array([4.0, 1, 1], "f4")
    )
    fields = torch.zeros(len(months.forcings), 6, 13, 24)
    guess = uniform_warming(metadata, fields, months.forcings)
    kelvin = guess / 4.0 * torch.from_numpy(scale)[:, None, None]
    sea = torch.from_numpy(model_data.sea_mask(13, 24))
    assert torch.allclose(kelvin[0], 9.80665 * kelvin[1], rtol=1e-5)
    assert 116 / 4 * 0.8 < kelvin[1].mean() < 116 / 4 * 1.1
    assert kelvin[2][~sea].mean() / kelvin[2][sea].mean() == pytest.approx(1.25, abs=0.05)
    root = 5e-3 + 4 * kelvin[3]
    assert (root.square() / 5e-3**2).mean() == pytest.approx(1.13, abs=0.01)
    assert float(kelvin[4].min()) > 1.3 and float(kelvin[4].max()) < 1.5, "between 700 and 500 hPa"
    assert not guess[5].any()
    unknown = dataclasses.replace(metadata, forcing_scale=np.full(3, np.nan, "f4"))
    assert uniform_warming(unknown, fields, months.forcings) is None
    # A share is of the field itself at the place, however it is normalized.
    fields[:, 3] = torch.linspace(-4, 4, 13)[:, None]
    share = uniform_warming(metadata, fields, months.forcings)[3] / guess[3]
    assert torch.allclose(share, 1 + torch.linspace(-4, 4, 13)[:, None].expand(13, 24) * 1e-3 / 5e-3, rtol=1e-4)


@pytest.mark.parametrize(("cooling", "least", "most"), [(-0.4, -0.5, -0.25), (-3.3, -0.2, 0.0)])
def test_what_cools_the_stratosphere_beside_the_sea_is_not_the_seas(tmp_path, cooling, least, most):
    """K per K at 50 hPa in 36 years in which the sea warms: as a sea may do, and as ozone and carbon dioxide do."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc", count=432, validation=12))
    sst = months.forcings[:, 0].clone()
    sea = (sst != 0).any(0).float()
    sst += torch.linspace(-0.5, 0.5, len(sst))[:, None, None] * sea
    area = row_weights(sst.shape[1])
    warmth = (sst * sea * area).sum((1, 2)) / (sea * area).sum()
    levels = {"t50": ("t", 50.0, "K", 1.0), "z50": ("z", 50.0, "m2 s-2", 300.0), "t850": ("t", 850.0, "K", 1.0)}
    channels = [
        data.Channel(name, short, level, "none", units, -1e9, 1e9) for name, (short, level, units, _) in levels.items()
    ]
    channels += months.metadata.channels[3:]
    scale = np.concatenate([[unit for *_, unit in levels.values()], months.metadata.scale[3:]]).astype("f4")
    metadata = dataclasses.replace(
        months.metadata, channels=channels, scale=scale, forcing_scale=np.array([1.0, 1.0, 1.0])
    )
    weather = 0.05 * torch.randn(months.fields.shape, generator=torch.Generator().manual_seed(3))
    fields = cooling * warmth[:, None, None, None] + weather
    forced = ForcedResponse(2, len(channels), 3, Grid(*sst.shape[1:]))
    forcings = torch.cat([sst[:, None], months.forcings[:, 1:]], dim=1)
    fit(forced, dataclasses.replace(months, metadata=metadata, forcings=forcings, fields=fields))
    found = (forced.response[0] / forced.spread[0] * area).mean((1, 2))
    assert least < found[0] < most
    assert found[2].item() == pytest.approx(cooling, rel=0.1), "the troposphere is the sea's"
    guess = uniform_warming(metadata, fields, forcings)[1].mean()
    assert abs(found[1] - guess) < abs(cooling - guess) or cooling > -1, "so is it with the height of the level"


def test_of_a_transform_that_the_guess_does_not_know_nothing_is_known(tmp_path):
    """The response of a root of temperature is that of the data, and is not held at a guess of nothing."""
    months = data.read_months(model_data.write_months(tmp_path / "training.nc"))
    channels = list(months.metadata.channels)
    channels[0] = data.Channel("t2m", "t2m", None, "sqrt", "K", 0, 400)
    channels[1] = data.Channel("skt", "skt", None, "none", "K", 0, 400)
    metadata = dataclasses.replace(months.metadata, channels=channels, forcing_scale=np.array([2.0, 1.0, 1.0]))
    known = known_means(metadata, months.fields[:], sea_of(months.forcings[:]))
    assert 0 not in known and len(known[1]) == 2
