"""The programs train, rollout and published, run as a user runs them, and the files between them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import torch
import torch_harmonics

from model import checkpoint, data, device, metrics, published, rollout, simulate, train, train_state
from tests.helpers import model_data
from tests.helpers.project import DATA, ROOT

GOLDEN = DATA / "md_v0p9_golden.npz"
NAMES = [channel[0] for channel in model_data.CHANNELS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Training, initial and forcing files, and a checkpoint trained on them."""
    folder = tmp_path_factory.mktemp("model")
    model_data.write_months(folder / "training.nc")
    model_data.write_months(folder / "initial.nc", first=(1978, 10), count=1, validation=0)
    model_data.write_forcing(folder / "aimip.nc")
    train.train(
        str(folder / "training.nc"), model_data.SMALL, 3, str(folder / "c.zip"), metrics=str(folder / "metrics.csv")
    )
    return folder


def run_rollout(folder, out, members, seed=5, forcing="aimip.nc", initial="initial.nc", model="c.zip"):
    paths = [str(folder / name) for name in (model, initial, forcing)]
    rollout.rollout(*paths, members, seed, str(out / "r{member}.nc"))


def fields(path):
    with data.open_dataset(path) as dataset:
        return np.stack([dataset[name][:] for name in NAMES], axis=1)


def weights(path):
    return checkpoint.load(path)[0].state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


# Training.


def test_training_lowers_the_loss_and_writes_every_column(folder):
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert rows[0].split(",") == list(metrics.COLUMNS)
    loss = [float(row.split(",")[3]) for row in rows[1:]]
    assert len(loss) == 3 and loss[-1] < loss[0]


def test_the_seed_decides_the_weights(folder, tmp_path):
    for name, seed in (("same", 3), ("other", 4)):
        train.train(str(folder / "training.nc"), model_data.SMALL, seed, str(tmp_path / name))
    assert same(weights(tmp_path / "same"), weights(folder / "c.zip"))
    assert (tmp_path / "same").read_bytes() == (folder / "c.zip").read_bytes()
    assert not same(weights(tmp_path / "other"), weights(folder / "c.zip"))


# More epochs than the killed process is given, its state saved after every step.
KILLED = model_data.SMALL | {"training": model_data.SMALL["training"] | {"epochs": 5}}


@pytest.fixture(scope="module")
def uninterrupted(folder):
    """The weights of a run that nobody killed; how often a state is saved is no part of what it belongs to."""
    train.train(str(folder / "training.nc"), KILLED, 3, str(folder / "whole.zip"), checkpoint_minutes=10)
    return weights(folder / "whole.zip")


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_killed_and_started_again_equals_uninterrupted(folder, uninterrupted, tmp_path, kill):
    state = tmp_path / "state"
    command = [sys.executable, "-m", "model.train", "--data", folder / "training.nc", "--seed", "3"]
    command += ["--out", tmp_path / "resumed.zip", "--settings", json.dumps(KILLED), "--state", state]
    command += ["--checkpoint-minutes", "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (state / "state.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(kill)
    _, message = process.communicate()
    assert process.returncode != 0 and not (tmp_path / "resumed.zip").exists(), message
    step = torch.load(state / "state.pt", weights_only=True)["step"]
    assert 0 < step < 25
    if kill == signal.SIGTERM:
        assert f"stopped by a signal after step {step}" in message
    train.train(str(folder / "training.nc"), KILLED, 3, str(tmp_path / "resumed.zip"), str(state))
    assert not (state / "state.pt").exists()
    assert same(weights(tmp_path / "resumed.zip"), uninterrupted)


def test_stopped_before_its_time_limit_again_and_again_equals_uninterrupted(folder, uninterrupted, tmp_path):
    """A limit that leaves time for one step only: every start gets one step further."""
    paths = [tmp_path / name for name in ("resumed.zip", "state")]
    for step in (1, 2, 3):
        with pytest.raises(RuntimeError, match=f"before its time limit of 1 minutes after step {step} of 25; start"):
            train.train(str(folder / "training.nc"), KILLED, 3, *map(str, paths), minutes=1)
        assert torch.load(paths[1] / "state.pt", weights_only=True)["step"] == step and not paths[0].exists()
    train.train(str(folder / "training.nc"), KILLED, 3, *map(str, paths), minutes=1000)
    assert same(weights(paths[0]), uninterrupted)


def test_the_time_left_has_to_hold_two_of_the_longest_steps(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(train_state.time, "monotonic", lambda: now[0])
    reserve = train_state.Termination.RESERVE
    ending, unlimited = train_state.Termination(10), train_state.Termination(0)
    for now[0] in (100.0, 110.0, 120.0):
        assert not ending.reason()
    now[0] = 600.0 - reserve - 200 + 1
    assert "before its time limit of 10 minutes" in ending.reason() and not unlimited.reason()


def test_a_slurm_job_that_was_given_no_gpu_uses_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for job, visible, expected in ((None, None, "cuda"), ("7", None, "cpu"), ("7", "", "cpu"), ("7", "0", "cuda")):
        for name, value in (("SLURM_JOB_ID", job), ("CUDA_VISIBLE_DEVICES", visible)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        assert device.pick_device().type == expected


def test_a_state_of_other_settings_is_left_alone(folder, tmp_path, capsys):
    assert train_state.load_state(tmp_path / "state.pt", "one") is None
    state = train_state.State(5, {}, {}, {}, [], {}, 1.0, {}, 0)
    train_state.write_state(tmp_path / "state.pt", "one", state)
    assert train_state.load_state(tmp_path / "state.pt", "one") == state
    assert train_state.load_state(tmp_path / "state.pt", "other") is None
    assert "starting over" in capsys.readouterr().err


def test_divergence_stops_with_the_step_and_keeps_the_state(folder, tmp_path):
    settings = json.loads(json.dumps(model_data.SMALL))
    settings["training"] |= {"learning_rate": 1e30, "clip": 0, "warmup_steps": 0}
    with pytest.raises(RuntimeError, match="diverged at step [0-9]+ .*learning_rate"):
        paths = str(folder / "training.nc"), settings, 3, str(tmp_path / "c.zip"), str(tmp_path / "state")
        train.train(*paths, checkpoint_minutes=0)
    assert (tmp_path / "state" / "state.pt").exists() and not (tmp_path / "c.zip").exists()


def test_months_outside_training_and_validation_are_never_read(folder, tmp_path):
    """A month marked as neither changes no weight, whatever it holds."""
    found = []
    for name, number in (("plain", None), ("huge", 1e6)):
        path = tmp_path / f"{name}.nc"
        path.write_bytes((folder / "training.nc").read_bytes())
        with netCDF4.Dataset(path, "a") as dataset:
            split = dataset["split"][:]
            split[:2] = split[23:26] = split[-3:] = 2
            dataset["split"][:] = split
            if number is not None:
                for variable in ("fields", "forcings"):
                    dataset[variable][split == 2] = number
        train.train(str(path), model_data.SMALL, 3, str(tmp_path / f"{name}.zip"))
        found.append(weights(tmp_path / f"{name}.zip"))
    assert same(*found)
    assert not same(found[0], weights(folder / "c.zip"))


def test_pairs_carry_the_month_that_follows(folder):
    """v0.9's training passed the month of t where that of t + 1 belongs."""
    months = data.read_months(folder / "training.nc")
    model, first = checkpoint.load(folder / "c.zip")[0], data.pair_indices(months, data.TRAINING)
    with torch.no_grad():
        wanted = [model.inputs(months.fields[i], months.forcings[i], months.number[i]) for i in (first, first + 1)]
    pairs = train.take_pairs(train.month_inputs(model, months), first)
    assert torch.equal(wanted[1].month, wanted[0].month % 12 + 1)
    for found, *values in zip(pairs, *wanted, strict=True):
        assert torch.allclose(found, torch.cat(values), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training": {"epoch": 3}}, "training.epoch is not a setting; known are epochs, batch"),
        ({"model": {"norm": "none"}}, "model.norm is 'none'; allowed are calibrated and sample"),
        ({"model": {"squeeze": 12}}, "model.squeeze 12 leaves a 1x2 grid"),
    ],
)
def test_wrong_settings_are_named(folder, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train.train(str(folder / "training.nc"), settings, 3, str(tmp_path / "c.zip"))


def test_learning_rate_rises_then_falls():
    config = train.TrainingConfig(learning_rate=1.0, warmup_steps=10)
    rates = [train.learning_rate(step, 1000, config) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0 and np.argmax(rates) in (9, 10)
    assert all(np.diff(rates[10:]) < 0) and rates[-1] == pytest.approx(0.01, abs=1e-3)
    constant = train.TrainingConfig(learning_rate=1.0, warmup_steps=0, decay="constant")
    assert {train.learning_rate(step, 1000, constant) for step in range(1000)} == {1.0}


# Checkpoints.


def test_checkpoint_rebuilds_the_model_without_pickle(folder, monkeypatch):
    monkeypatch.setattr("pickle.load", None)
    monkeypatch.setattr("torch.load", None)
    model, metadata, provenance = checkpoint.load(folder / "c.zip")
    months = data.read_months(folder / "training.nc")
    assert [channel.name for channel in metadata.channels] == NAMES
    assert metadata.channels == months.metadata.channels
    np.testing.assert_array_equal(metadata.center, months.metadata.center)
    assert model.config.latent_channels == 4 and provenance["seed"] == 3
    assert torch.equal(model.statics, months.statics)


def test_checkpoint_of_another_format_or_none_is_refused(folder, tmp_path, monkeypatch):
    (tmp_path / "x.zip").write_bytes(b"text")
    with pytest.raises(ValueError, match="x.zip is no checkpoint"):
        checkpoint.load(tmp_path / "x.zip")
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    with pytest.raises(ValueError, match="checkpoint format 1; this program reads format 2"):
        checkpoint.load(folder / "c.zip")


# Rollouts.


def test_a_member_is_the_same_alone_and_in_any_block(folder, tmp_path):
    for name, members in (("alone", [7]), ("five", [5, 6, 7, 8, 9]), ("again", [7, 1])):
        (tmp_path / name).mkdir()
        run_rollout(folder, tmp_path / name, members)
    alone, five, again = (fields(tmp_path / name / "r7.nc") for name in ("alone", "five", "again"))
    assert np.array_equal(alone, five) and np.array_equal(alone, again)
    assert not np.allclose(alone, fields(tmp_path / "five" / "r8.nc"))
    # Members differ from the first month on: each starts from its own draw.
    assert np.abs(alone[0] - fields(tmp_path / "five" / "r8.nc")[0]).max() > 0


def test_members_computed_together_are_those_computed_one_by_one(folder, tmp_path, monkeypatch):
    for name in ("alone", "together"):
        (tmp_path / name).mkdir()
    run_rollout(folder, tmp_path / "alone", [1, 2, 3, 4, 5])
    monkeypatch.setattr(simulate, "members_together", lambda device: 3)  # as on a GPU: the last batch is not full
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
    model_data.write_forcing(folder / "wrong.nc", **options)
    with pytest.raises(ValueError, match=message):
        run_rollout(folder, tmp_path, [1], forcing="wrong.nc")
    assert not list(tmp_path.iterdir())


def test_leaving_physical_bounds_stops_with_member_and_month_and_keeps_the_rest(folder, tmp_path):
    """The sea warms without end from 1979-06 on; the months before stay in the file."""

    def runaway(dates, values):
        values[8:, 0] += 3000.0 * model_data.sea_mask(13, 24)
        return dates, values

    model_data.write_forcing(folder / "runaway.nc", change=runaway)
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


# Published checkpoints.


@pytest.fixture
def published_folder(tmp_path):
    with np.load(GOLDEN) as golden:
        state = {
            name.removeprefix("state_dict/"): torch.from_numpy(golden[name])
            for name in golden.files
            if name.startswith("state_dict/")
        }
    torch.save(state, tmp_path / "weights.pt")
    (tmp_path / "config.pkl").write_bytes(b"\x80\x04cos\nsystem\nX\x08\x00\x00\x00touch /x\x85R.")
    return tmp_path


def test_a_published_folder_is_imported_and_encodes_and_decodes_the_same(published_folder, tmp_path, monkeypatch):
    with np.load(GOLDEN) as file:
        golden = {name: torch.from_numpy(file[name]) for name in file.files if file[name].dtype.kind in "fc"}
        golden |= {"month0": torch.from_numpy(file["month0"])}
    with netCDF4.Dataset(tmp_path / "training.nc", "w") as dataset:
        for axis, size in zip(("static", "lat", "lon"), golden["statics"].shape, strict=True):
            dataset.createDimension(axis, size)
        dataset.createVariable("statics", "f4", ("static", "lat", "lon"))[:] = golden["statics"].numpy()
    names = ["SPSFC", "VAR_2TSFC", "MTPRSFC", "t850.0", "q850.0", "z500.0"]
    table = published.read_statistics(published.STATISTICS)
    lines = ["published_name,transform,mean,std"]
    lines += [
        f"{n},{table[n]['transform']},{table[n]['mean']},{table[n]['std']}" for n in [*names[::-1], "SSTKSFC", "CISFC"]
    ]
    (tmp_path / "statistics.csv").write_text("\n".join(lines))
    monkeypatch.setattr(published, "STATICS", ("SDOR", "LSM"))
    published.import_checkpoint(
        published_folder, tmp_path / "c.zip", tmp_path / "training.nc", tmp_path / "statistics.csv"
    )
    model, metadata, _ = checkpoint.load(tmp_path / "c.zip")
    assert [channel.name for channel in metadata.channels] == ["sp", "t2m", "avg_tprate", "t850", "q850", "z500"]
    assert metadata.scale[3] == pytest.approx(15.45917)
    given = golden["forcing0"], golden["month0"]
    with torch.no_grad():
        mean, log_variance = model.encode(golden["x0"], *given)
        latent = mean + torch.exp(0.5 * log_variance) * golden["encoder_eps"]
        decoded = model.decode(golden["z0"], *given)
    for found, wanted in ((latent, golden["z0"]), (decoded, golden["reconstruction"])):
        assert ((found - wanted).square().mean() / wanted.square().mean()).sqrt() < 1e-5


def test_a_table_of_other_fields_is_refused(published_folder, tmp_path):
    with pytest.raises(ValueError, match="decode 6 fields, .* has 37; give the table of this checkpoint"):
        published.import_checkpoint(published_folder, tmp_path / "c.zip")


def test_a_state_dict_of_another_model_is_refused(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="holds no state_dict of Monthly Diffusion v0.9"):
        published.import_checkpoint(tmp_path, tmp_path / "c.zip")


def test_pickled_objects_are_not_executed(tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    torch.save({"weights": Harm()}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        published.import_checkpoint(tmp_path, tmp_path / "c.zip")
    assert not (tmp_path / "harmed").exists()


def test_the_whole_statistics_table_gives_37_channels():
    table = published.read_statistics(published.STATISTICS)
    names = [name for name in table if name not in ("SSTKSFC", "CISFC")]
    metadata = published.metadata_of(names, table, data_grid := published.Grid(121, 240))
    assert len(metadata.channels) == 37 and len(metadata.lat) == data_grid.nlat
    assert {channel.transform for channel in metadata.channels} == {"none", "sqrt"}
    assert len({channel.name for channel in metadata.channels}) == 37
