"""A job per year: its months, its state, and the same bytes when it is stopped and started again. Without jcm."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from tests.helpers.gcm_data import SIGMA, made_day, write_boundary
from tests.helpers.project import VARIABLES, snakemake
from workflow.scripts.gcm import run as program
from workflow.scripts.gcm.boundary import Boundary


class Atmosphere:
    """A stand-in for the GCM whose state is a number that every day changes and every later day remembers."""

    sigma, height = SIGMA, np.zeros((96, 48))

    def __init__(self, boundary, date):
        self.date, self.state = np.datetime64(date, "D"), 0.0

    def day(self, offset):
        self.date += 1
        self.state = 0.9 * self.state + 0.1 * offset + float(self.date.astype(int) % 7)
        return made_day(self.state)

    def save(self, path):
        path.write_text(repr(self.state))

    def load(self, path):
        self.state = float(path.read_text())


@pytest.fixture(autouse=True)
def stand_in(monkeypatch, tmp_path_factory):
    monkeypatch.setitem(sys.modules, "workflow.scripts.gcm.atmosphere", SimpleNamespace(Atmosphere=Atmosphere))
    folder = write_boundary(tmp_path_factory.mktemp("boundary"))
    monkeypatch.setattr(program, "Boundary", lambda: Boundary(folder))


def test_a_year_in_one_go_is_the_same_as_one_that_was_stopped(tmp_path):
    program.run(("1990-11", "1990-12"), 2.0, tmp_path / "spin_up")
    program.run(("1990-01", "1990-12"), 2.0, tmp_path / "whole", tmp_path / "spin_up", VARIABLES, tmp_path / "a")
    program.run(("1990-01", "1990-05"), 2.0, tmp_path / "half", tmp_path / "spin_up", VARIABLES, tmp_path / "b")
    program.run(("1990-06", "1990-12"), 2.0, tmp_path / "end", tmp_path / "half", VARIABLES, tmp_path / "c")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "end").read_bytes()
    for dataset, name in (("single-levels", "t2m"), ("pressure-levels", "z")):
        whole, *halves = (xr.load_dataset(tmp_path / part / dataset / "1990.nc")[name].values for part in "abc")
        np.testing.assert_array_equal(whole, np.concatenate(halves))
    again = tmp_path / "again"
    program.run(("1990-01", "1990-12"), 2.0, again, tmp_path / "spin_up", VARIABLES, tmp_path / "d")
    for dataset in ("single-levels", "pressure-levels"):
        first, second = ((tmp_path / part / dataset / "1990.nc").read_bytes() for part in "ad")
        assert first == second


def test_months_have_their_own_days_leap_years_too(tmp_path):
    program.run(("1992-02", "1992-03"), 0.0, tmp_path / "end", None, VARIABLES, tmp_path / "out")
    atmosphere, expected = Atmosphere(None, "1992-02-01"), []
    for days in (29, 31):
        expected.append(np.mean([atmosphere.day(0.0).air[0, 0] for _ in range(days)]))
    with xr.open_dataset(tmp_path / "out/single-levels/1992.nc") as data:
        np.testing.assert_allclose(data.t2m.values[:, 20, 7], expected, rtol=1e-6)
        assert data.time.dt.month.values.tolist() == [2, 3]


def test_what_cannot_be_run_is_told_before_anything_is(tmp_path, capsys):
    with pytest.raises(ValueError, match="1990-12..1991-01 are months of 2 years"):
        program.run(("1990-12", "1991-01"), 0.0, tmp_path / "end")
    words = ["--period", "1990-01", "1990-02", "--offset", "0", "--restart", str(tmp_path / "end")]
    assert program.main([*words, "--out", str(tmp_path)]) == 1
    assert "--out needs --variables" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_make_gcm_runs_a_chain_of_years_for_each_experiment(tmp_path):
    (tmp_path / "overlay.yaml").write_text("gcm: {years: [1990, 1992], spin_up: 3}")
    done = snakemake(tmp_path, "--dry-run", "gcm", overlay=tmp_path / "overlay.yaml")
    for words in ("gcm_year 9", "gcm_spin_up 3", "gcm_fixed 3"):
        assert words in " ".join(done.stdout.split()), done.stdout
    for before, year in (("spin_up", 1990), (1990, 1991), (1991, 1992)):
        job = done.stdout.split(f"Running the GCM's aimip-p4k through {year}")[1].split("Job ")[0]
        assert f"results/gcm/aimip-p4k/restart/{before}.npz" in job
