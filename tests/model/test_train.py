"""The program train, run as a user runs it: what it learns from, and how it ends, stops and goes on."""

import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import netCDF4
import numpy as np
import pytest
import torch

from model import batches, checkpoint, data, prefit, train, train_state, training_log
from model.optimizer import RealAdamW, clone_state
from tests.helpers import model_data
from tests.helpers.model_networks import make_model
from tests.helpers.project import ROOT

CPU = torch.device("cpu")


def weights(path):
    return checkpoint.load(path)[0].state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_training_lowers_the_loss_and_writes_every_column(folder):
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert rows[0].split(",") == list(training_log.COLUMNS)
    loss = [float(row.split(",")[3]) for row in rows[1:]]
    assert len(loss) == 3 and loss[-1] < loss[0]


def test_the_seed_decides_the_weights(folder, tmp_path):
    for name, seed in (("same", 3), ("other", 4)):
        train.train(str(folder / "training.nc"), model_data.SMALL, seed, str(tmp_path / name))
    assert same(weights(tmp_path / "same"), weights(folder / "c.zip"))
    assert filecmp.cmp(tmp_path / "same", folder / "c.zip", shallow=False)
    assert not same(weights(tmp_path / "other"), weights(folder / "c.zip"))


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
    pairs = batches.take_pairs(batches.month_inputs(model, months), first)
    assert torch.equal(wanted[1].month, wanted[0].month % 12 + 1)
    for found, *values in zip(pairs, *wanted, strict=True):
        assert torch.allclose(found, torch.cat(values), rtol=1e-5, atol=1e-5)


def test_months_in_their_file_are_those_in_memory(folder):
    """However a tensor is indexed, and in what is fitted to them; the months to fit are never in memory together."""
    whole = data.read_months(folder / "training.nc")
    fitted = []
    with data.open_months(folder / "training.nc", CPU) as stored:
        assert stored.dates == whole.dates and len(stored.fields) == len(whole.fields)
        some = np.array([2, 3, 7])
        for name in ("fields", "forcings"):
            found, wanted = getattr(stored, name), getattr(whole, name)
            assert found.shape == wanted.shape and found.device == wanted.device
            for index in (4, np.int64(5), slice(3, 9), some, (slice(None), 1)):
                assert torch.equal(found[index], wanted[index]), (name, index)
        assert torch.equal(stored.fields.at(some)[1:, 2], whole.fields[some][1:, 2])
        for months in (stored, whole):
            model = checkpoint.load(folder / "c.zip")[0]
            model.forced.response.zero_()
            prefit.prefit(model, months)
            fitted.append(model.forced.state_dict())
    assert same(*fitted) and fitted[0]["response"].any()


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


def test_divergence_stops_with_the_step_and_keeps_the_state(folder, tmp_path):
    settings = json.loads(json.dumps(model_data.SMALL))
    settings["training"] |= {"learning_rate": 1e30, "clip": 0, "warmup_steps": 0}
    with pytest.raises(RuntimeError, match="diverged at step [0-9]+ .*learning_rate"):
        paths = str(folder / "training.nc"), settings, 3, str(tmp_path / "c.zip"), str(tmp_path / "state")
        train.train(*paths, checkpoint_minutes=0)
    assert (tmp_path / "state" / "state.pt").exists() and not (tmp_path / "c.zip").exists()


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
    done = subprocess.run(list(map(str, command)), env=environment, check=True, capture_output=True, text=True)
    assert f"from step {step} of 25" in done.stderr
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


def test_the_time_of_the_set_up_counts_for_the_limit_and_for_no_step(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(train_state.time, "monotonic", lambda: now[0])
    ending = train_state.Termination(10)
    now[0] = 300.0
    ending.begin_steps()
    now[0] = 310.0
    assert not ending.reason() and ending.longest == 10
    now[0] = 600.0 - ending.RESERVE
    assert "before its time limit of 10 minutes" in ending.reason()


def test_a_signal_during_the_set_up_keeps_what_it_made(folder, tmp_path, uninterrupted, monkeypatch):
    state = tmp_path / "state"
    given = str(folder / "training.nc"), KILLED, 3, str(tmp_path / "resumed.zip"), str(state)
    fitted = train.prefit

    def fit_and_be_told_to_end(model, months):
        fitted(model, months)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(train, "prefit", fit_and_be_told_to_end)
    with pytest.raises(RuntimeError, match="stopped by a signal before step 1 of 25; start again"):
        train.train(*given)
    monkeypatch.setattr(train, "prefit", lambda *_: pytest.fail("the state has it"))
    train.train(*given)
    assert same(weights(tmp_path / "resumed.zip"), uninterrupted)


def test_a_state_moves_to_the_device_that_reads_it(tmp_path):
    """The device that stands in for another one holds no numbers, only where tensors are."""
    one = {"a": torch.ones(2), "b": torch.ones(2, dtype=torch.complex64)}
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    kept = [{"step": 5, "score": 1.0, "weights": one, "found": {}}]
    train_state.write_state(tmp_path / "state.pt", "one", train_state.State(5, one, one, optimizer, [], {}, kept))
    found = train_state.load_state(tmp_path / "state.pt", "one", torch.device("meta"))
    average, weights = found.average, found.candidates[0]["weights"]
    moved = [*found.model.values(), *average.values(), *found.optimizer["state"][0].values(), *weights.values()]
    assert len(moved) == 8 and {value.device.type for value in moved} == {"meta"}
    assert found.step == 5 and found.optimizer["param_groups"] == [{"lr": 0.1}]


def test_a_run_that_goes_on_holds_nothing_twice(tmp_path):
    """Nor does the state that it writes then, however often it goes on."""
    path, sizes = tmp_path / "state.pt", []
    model = make_model()
    optimizer = RealAdamW(model)
    for value in model.parameters():
        value.grad = torch.ones_like(value)
    optimizer.step()
    average = clone_state(model)
    calibrated = {name: value.clone() for name, value in model.state_dict().items()}
    kept = [{"weights": clone_state(model, average)}, {"weights": calibrated, "found": {}}]
    state = train_state.State(5, {}, average, {}, [], {}, kept)
    for _ in range(3):
        state.model, state.optimizer = model.state_dict(), optimizer.state_dict()
        train_state.write_state(path, "one", state)
        sizes.append(path.stat().st_size)
        wanted = model.state_dict()
        model = make_model(seed=1)
        optimizer = RealAdamW(model)
        state = train_state.load_state(path, "one", CPU)
        moments = {name: value.clone() for name, value in state.optimizer["state"][0].items()}
        train_state.hand_over(state, model, optimizer)
        own = model.state_dict()
        assert same(own, wanted) and same(optimizer.state_dict()["state"][0], moments)
        assert not state.model and not state.optimizer
        moving = {name for name, value in clone_state(model).items() if value.data_ptr() != own[name].data_ptr()}
        assert 10 < len(moving) < len(own) - 10
        for weights in (state.average, state.candidates[0]["weights"]):
            assert {name for name in own if weights[name].data_ptr() != own[name].data_ptr()} == moving
        others = [state.average, *(candidate["weights"] for candidate in state.candidates)]
        assert all(same(weights, wanted) for weights in others)
        assert len({weights["latent_mean"].data_ptr() for weights in [own, *others]}) == 4
    assert max(sizes) - min(sizes) < 2000 < sizes[0], sizes


def test_a_training_of_other_code_starts_over(folder, tmp_path, monkeypatch, capsys):
    """Half a training by the loss as it was and half by a new one would be neither."""
    paths = [tmp_path / name for name in ("out.zip", "state")]
    for digest, begun in (("old", 0), ("old", 1), ("new", 0)):
        monkeypatch.setattr(train, "code_digest", lambda digest=digest: digest)
        with pytest.raises(RuntimeError, match="before its time limit"):
            train.train(str(folder / "training.nc"), KILLED, 3, *map(str, paths), minutes=1)
        assert f"from step {begun} of 25" in capsys.readouterr().err


def test_the_code_of_a_training_is_what_it_imports_and_the_tables_beside_it(tmp_path):
    """Another loss is another training; another way to write a rollout's file is not."""
    shutil.copytree(ROOT / "model", tmp_path / "model", ignore=shutil.ignore_patterns("__pycache__"))
    program = "import model.train; from model.train_state import code_digest; print(code_digest())"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def digest():
        command = [sys.executable, "-c", program]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    def change(name):
        with open(tmp_path / "model" / name, "a") as file:
            file.write("# changed\n")
        return digest()

    first = digest()
    assert change("long_run.py") == first == digest()
    second = change("loss.py")
    assert len({first, second, change("data/uniform_warming.csv")}) == 3


def test_a_state_of_other_settings_is_left_alone(folder, tmp_path, capsys):
    assert train_state.load_state(tmp_path / "state.pt", "one", CPU) is None
    state = train_state.State(5, {}, {}, {}, [], {}, [])
    train_state.write_state(tmp_path / "state.pt", "one", state)
    assert train_state.load_state(tmp_path / "state.pt", "one", CPU) == state
    assert train_state.load_state(tmp_path / "state.pt", "other", CPU) is None
    assert "starting over" in capsys.readouterr().err
