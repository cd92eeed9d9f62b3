"""The program rollout: members and their files, and inputs that are refused or brought to the checkpoint's form."""

import netCDF4
import numpy as np
import pytest
import torch
import torch_harmonics

from model import checkpoint, data, rollout, run_inputs, simulate
from tests.helpers import model_data
from tests.helpers.model_data import NAMES


def run_rollout(folder, out, members, seed=5, forcing="aimip.nc", initial="initial.nc", model="c.zip"):
    paths = [str(folder / name) for name in (model, initial, forcing)]
    rollout.rollout(*paths, members, seed, str(out / "r{member}.nc"))


def fields(path):
    with data.open_dataset(path) as dataset:
        return np.stack([dataset[name][:] for name in NAMES], axis=1)


def test_a_member_is_the_same_alone_and_in_any_block(folder, tmp_path):
    for name, members in (("alone", [7]), ("five", [5, 6, 7, 8, 9]), ("again", [7, 1])):
        (tmp_path / name).mkdir()
        run_rollout(folder, tmp_path / name, members)
    alone, five, again = (fields(tmp_path / name / "r7.nc") for name in ("alone", "five", "again"))
    assert np.array_equal(alone, five) and np.array_equal(alone, again)
    assert not np.allclose(alone, fields(tmp_path / "five" / "r8.nc"))
    # Members differ from the first month on: each starts from its own draw.
    assert np.abs(alone[0] - fields(tmp_path / "five" / "r8.nc")[0]).max() > 0


def test_an_experiment_begins_as_the_control_and_has_weather_of_its_own_from_then_on(folder):
    model, metadata, _ = checkpoint.load(folder / "c.zip")
    initial = data.read_months(folder / "initial.nc")
    with run_inputs.open_forcing(str(folder / "aimip.nc"), metadata, initial.dates[0]) as forcing:
        given = model, initial.fields, initial.forcings, forcing.dates, forcing.month, [1, 2], 5

        def run(experiment):
            return torch.stack(list(simulate.simulate(*given, residual=False, experiment=experiment)))

        control, warm, again = run(0), run(7), run(7)
    assert torch.equal(warm[0], control[0]), "the state that all start from"
    assert all((one - other).abs().max() > 0.01 for one, other in zip(warm[1:], control[1:], strict=True))
    assert torch.equal(warm, again)


def test_members_computed_together_are_those_computed_one_by_one(folder, tmp_path, monkeypatch):
    for name in ("alone", "together"):
        (tmp_path / name).mkdir()
    run_rollout(folder, tmp_path / "alone", [1, 2, 3, 4, 5])
    monkeypatch.setattr(simulate, "members_together", lambda device, members: 3)
    run_rollout(folder, tmp_path / "together", [1, 2, 3, 4, 5])
    for member in range(1, 6):
        alone, together = (fields(tmp_path / name / f"r{member}.nc") for name in ("alone", "together"))
        assert np.abs(together - alone).max() < 1e-3 * np.abs(alone).max()


def test_member_file(folder, tmp_path):
    run_rollout(folder, tmp_path, [2])
    with data.open_dataset(tmp_path / "r2.nc") as dataset:
        assert set(NAMES) <= set(dataset.variables)
        assert dataset["t850"].dimensions == ("time", "lat", "lon") and dataset["t850"].dtype == np.float32
        assert (dataset["t850"].units, dataset["t850"].short_name, dataset["t850"].level) == ("K", "t", 850)
        assert not hasattr(dataset["t2m"], "level")
        assert dataset["t850"].chunking() == "contiguous"
        assert (dataset.member, dataset.seed) == (2, 5)
        assert dataset.checkpoint_sha256 == data.sha256(folder / "c.zip")
        assert dataset.forcing_sha256 == data.sha256(folder / "aimip.nc")
        assert (dataset.torch, dataset.torch_harmonics) == (torch.__version__, torch_harmonics.__version__)
        bounds = dataset["time_bnds"][:]
        assert np.array_equal(bounds[1:, 0], bounds[:-1, 1]) and np.array_equal(dataset["time"][:], bounds.mean(1))
        first = netCDF4.num2date(bounds[0, 0], dataset["time"].units)
        assert (first.year, first.month, first.day, len(bounds)) == (1978, 10, 1, 14)
        values = dataset["q850"][:]
    assert values.min() >= 0 and 0.001 < values.mean() < 0.01  # squared back to kg kg-1
    assert not list(tmp_path.glob("*.partial"))


def change_dates(index):
    return lambda dates, values: (dates[:index] + dates[index + 1 :], np.delete(values, index, axis=0))


def put_nan(dates, values):
    values[3, 0, 5, 5] = np.nan
    return dates, values


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"change": change_dates(4)}, "after 1979-01 comes 1979-03; 1979-02 was expected"),
        ({"change": put_nan}, "1979-01 hold numbers that are not finite"),
        ({"first": (1979, 1)}, "starts in 1979-01, the initial state is of 1978-10"),
        ({"nlat": 11}, "has 11 values of lat from -90 to 90, the checkpoint 13"),
        ({"nlon": 30}, "has 30 values of lon from 0 to 348, the checkpoint 24"),
    ],
)
def test_a_wrong_forcing_is_refused_naming_the_fault(folder, tmp_path, options, message):
    model_data.write_normalized_forcing(folder / "wrong.nc", **options)
    with pytest.raises(ValueError, match=message):
        run_rollout(folder, tmp_path, [1], forcing="wrong.nc")
    assert not list(tmp_path.iterdir())


def test_leaving_physical_bounds_stops_with_member_and_month_and_keeps_the_rest(folder, tmp_path):
    """One side of the sea warms without end from 1979-06 on; the months before stay in the file."""
    lat, lon = np.deg2rad(model_data.axes(13, 24)[0])[:, None], np.deg2rad(model_data.axes(13, 24)[1])[None]

    def runaway(dates, values):
        values[8:, 0] += 3000.0 * model_data.sea_mask(13, 24) * np.cos(lat) * np.cos(lon)
        return dates, values

    model_data.write_normalized_forcing(folder / "runaway.nc", change=runaway)
    with pytest.raises(RuntimeError, match="member 1 left the physical bounds in 1979-06: t850 spans .* K, allowed"):
        run_rollout(folder, tmp_path, [1], forcing="runaway.nc")
    assert not (tmp_path / "r1.nc").exists()
    with data.open_dataset(tmp_path / "r1.nc.partial") as kept:
        assert kept.months_written >= 8
        assert np.isfinite(kept["t850"][:8]).all() and kept["t850"][:8].std() > 0


def test_another_normalization_of_the_inputs_changes_nothing(folder, tmp_path):
    """The same months and forcings, normalized otherwise, are brought to the checkpoint's normalization."""
    center, scale = np.array([2.0, -1.0, 0.0], "f4"), np.array([4.0, 0.5, 1.0], "f4")
    checkpoint_path = folder / "c.zip"
    model, metadata, provenance = checkpoint.load(checkpoint_path)
    known = metadata.__class__(**(vars(metadata) | {"forcing_center": np.zeros(3), "forcing_scale": np.ones(3)}))
    checkpoint.save(folder / "known.zip", model, model.state_dict(), known, provenance)
    for name in ("initial.nc", "aimip.nc"):
        (folder / f"other_{name}").write_bytes((folder / name).read_bytes())
        with netCDF4.Dataset(folder / f"other_{name}", "a") as dataset:
            values = dataset["forcings"][:].data
            values = np.where(values == 0, 0, (values - center[:, None, None]) / scale[:, None, None])
            dataset["forcings"][:] = values
            for key, number in (("forcing_center", center), ("forcing_scale", scale)):
                dataset.createVariable(key, "f4", ("forcing",))[:] = number
            if "fields" in dataset.variables:
                dataset["fields"][:] = (dataset["fields"][:] - 3) / 2
                dataset["center"][:] = dataset["center"][:] + 3 * dataset["scale"][:][None, :, None, None]
                dataset["scale"][:] = dataset["scale"][:] * 2
    (tmp_path / "other").mkdir()
    run_rollout(folder, tmp_path, [1])
    run_rollout(
        folder, tmp_path / "other", [1], forcing="other_aimip.nc", initial="other_initial.nc", model="known.zip"
    )
    np.testing.assert_allclose(fields(tmp_path / "other" / "r1.nc"), fields(tmp_path / "r1.nc"), rtol=1e-3)
