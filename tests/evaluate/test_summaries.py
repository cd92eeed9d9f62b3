"""The statistics of one simulation and of the reference, and the file that holds them."""

import netCDF4
import numpy as np
import pytest

from tests.helpers.evaluation_run import LAT, LON, MONTHS, PERIODS
from tests.helpers.evaluation_tree import write_era5, write_simulation
from tests.helpers.project import INDEX, VARIABLES
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.evaluate.summarize.reader import SummaryFile, annual_means
from workflow.scripts.evaluate.summarize.reference import summarize_reference
from workflow.scripts.evaluate.summarize.simulation import summarize
from workflow.scripts.evaluate.summarize.summary import Summary
from workflow.scripts.inputs.labelled import FILLED


def test_another_grid_is_regridded_conservatively(tmp_path):
    lat, lon = -85.0 + 10 * np.arange(18), 5.0 + 10 * np.arange(36)
    files = write_simulation(tmp_path / "gr", MONTHS, lat, lon, seed=0)
    summarize(files, tmp_path / "aimip" / "r1i1p1f1.nc", INDEX, PERIODS, 2)
    era5, _ = write_era5(tmp_path / "era5", MONTHS, LAT, LON)
    summarize_reference(era5, tmp_path / "reference.nc", VARIABLES, INDEX, PERIODS, 2)
    ours, reference = SummaryFile(tmp_path / "aimip" / "r1i1p1f1.nc"), SummaryFile(tmp_path / "reference.nc")
    maps = ours.maps_on(reference, "mean_test", ["tas", "psl"])
    assert maps.shape == (2, len(LAT), len(LON))
    band = np.diff(np.sin(np.deg2rad(np.linspace(-90, 90, 19))))[:, None]
    area = np.diff(np.sin(np.deg2rad(np.clip(np.append(LAT - 7.5, 97.5), -90, 90))))[:, None]
    before = (ours.maps("mean_test", ["psl"])[0] * band).sum() / (36 * band.sum())
    after = (maps[1] * area).sum() / (24 * area.sum())
    assert after == pytest.approx(before, rel=1e-9)


def test_summary_knows_a_single_wave_and_the_indices():
    summary = Summary(MONTHS, LAT, LON, evaluation_periods(PERIODS), ([0.0, 1e5], [0.0, 1.0]), 2)
    wave = 4 * np.cos(np.deg2rad(LAT))[:, None] ** 3 * np.cos(3 * np.deg2rad(LON)) + np.zeros((len(MONTHS), 1, 1))
    summary.add("tas", MONTHS, wave)  # the spherical harmonic of degree 3 and order 3
    power = summary.spectra["tas"]
    assert power[3] == pytest.approx(8 * 16 / 35)  # mean of cos(lat)^6 over the sphere
    assert np.delete(power, 3) == pytest.approx(np.zeros(len(power) - 1), abs=1e-12)
    speed = 10 * np.cos(np.deg2rad(LAT))[:, None] + np.zeros((len(MONTHS), 1, len(LON)))
    summary.add("va250", MONTHS, 0 * speed)
    summary.add("ua250", MONTHS, speed)
    assert summary.spectra["ke250"][1] == pytest.approx(100 / 3, rel=1e-6)
    assert not summary.wind
    jet = np.where(np.abs(LAT) < 7, 10.0, -99.0)[None, :, None] + np.zeros((len(MONTHS), 1, len(LON)))
    summary.add("ua50", MONTHS, jet)
    assert summary.indices["QBO"] == pytest.approx(np.full(len(MONTHS), 10.0))
    assert summary.indices["NH vortex"] == pytest.approx(np.full(len(MONTHS), -99.0))
    assert summary.seasons["ua50"] == pytest.approx(np.broadcast_to(jet[0, :, 0], (12, len(LAT))))
    slope = LAT[None, :, None] + np.zeros((len(MONTHS), 1, len(LON)))
    summary.add("psl", MONTHS, slope)
    assert summary.indices["SAM"] == pytest.approx(np.full(len(MONTHS), -45.0 - -60.0))  # nearest rows to 40S and 65S


def test_annual_means_leave_out_the_first_three_months():
    years, means = annual_means(np.arange(len(MONTHS), dtype=float)[None], MONTHS)
    assert years.tolist() == list(range(1979, 1986))
    assert means[0, 0] == pytest.approx(np.arange(3, 15).mean())
    years, means = annual_means(np.zeros((4, 14)), MONTHS[5:19])  # 1979-03..1980-04: no year is whole
    assert years.size == 0 and means.shape == (4, 0)


def test_fill_values_become_missing_not_numbers(tmp_path):
    files = write_simulation(tmp_path / "run", MONTHS, LAT, LON, seed=0)
    path = next(path for path in files if path.name.startswith("tas_"))
    with netCDF4.Dataset(path, "a") as data:
        data["tas"][5, 3, 4] = 1e20
    summarize([path], tmp_path / "aimip" / "r1.nc", INDEX, PERIODS, 2)
    maps = SummaryFile(tmp_path / "aimip" / "r1.nc").maps("mean_simulation")
    assert np.isnan(maps[0, 3, 4])
    assert np.nanmax(np.abs(maps)) < FILLED
    assert np.isnan(maps).sum() == 1


def test_bad_inputs_are_named(tmp_path):
    files = write_simulation(tmp_path / "run", MONTHS[:-12], LAT, LON, seed=0)
    with pytest.raises(ValueError, match="lacks 12 months of the simulation 1978-10..1985-12"):
        summarize(files, tmp_path / "out.nc", INDEX, PERIODS, 2)
    era5, _ = write_era5(tmp_path / "era5", MONTHS, LAT, LON)
    with pytest.raises(ValueError, match="lacks 12 months of the simulation, the first is 1980-01"):
        summarize_reference([era5[0], era5[1], *era5[3:]], tmp_path / "out.nc", VARIABLES, INDEX, PERIODS, 2)
    assert not (tmp_path / "out.nc").exists()
