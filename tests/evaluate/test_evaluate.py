"""The evaluation from files to scorecard, on a made climate whose biases, trends and responses are known."""

import csv
import json
import shutil
import subprocess
import warnings

import netCDF4
import numpy as np
import pytest

from tests.helpers.evaluation_tree import channels, grid, months_of, periods, write_era5, write_simulation
from tests.helpers.project import INDEX, VARIABLES
from workflow.scripts.common.months import CALENDAR, TIME_UNITS, mid_times, year_of
from workflow.scripts.common.periods import evaluation_periods
from workflow.scripts.evaluate.evaluation import evaluate
from workflow.scripts.evaluate.metrics.along_time import deseasonalize, rms
from workflow.scripts.evaluate.metrics.indices import index_weights
from workflow.scripts.evaluate.scorecard.closing import closing_words
from workflow.scripts.evaluate.scorecard.lines import Table
from workflow.scripts.evaluate.summarize.reader import SummaryFile, annual_means
from workflow.scripts.evaluate.summarize.reference import summarize_reference
from workflow.scripts.evaluate.summarize.simulation import FILL_LIMIT, read_index, summarize
from workflow.scripts.evaluate.summarize.summary import Summary, field_order, write_labels
from workflow.scripts.evaluate.truth import planet_truth
from workflow.scripts.planet.world import Planet

PERIODS = periods()
LAT, LON = grid()
MONTHS = months_of(PERIODS)
EXPERIMENTS = {"aimip": {"sst_offset": 0}, "aimip-p4k": {"sst_offset": 4}}
SETTINGS = {
    "max_latitude": 87.5,
    "minimum_years": 2,
    "skill_fields": ["tas", "ta850"],
    "map_fields": ["tas", "pr", "zg500"],
    "periods": PERIODS,
    "reference_name": "ERA5",
}
OUTPUTS = {
    "csv": "metrics.csv",
    "netcdf": "metrics.nc",
    "scorecard": "card.json",
    "text": "card.txt",
    "html": "card.html",
}


def run(folder, simulations, spans=PERIODS, truth=None, models=None, **changes):
    """Reference, summaries of ``simulations`` {(experiment, member): arguments of channels} and metrics; the folder.

    truth: true response (K) of tas, and zero of all other fields, if given; models: summaries of other models.
    """
    months = months_of(spans)
    era5, static = write_era5(folder / "era5", months, LAT, LON)
    settings = {**SETTINGS, "periods": spans, **changes}
    summarize_reference(era5, folder / "reference.nc", VARIABLES, INDEX, spans, settings["minimum_years"])
    paths = []
    for (experiment, member), arguments in simulations.items():
        files = write_simulation(folder / f"{experiment}_{member}", months, LAT, LON, **arguments)
        paths.append(folder / "summary" / experiment / f"{member}.nc")
        summarize(files, paths[-1], INDEX, spans, settings["minimum_years"])
    outputs = {name: folder / path for name, path in OUTPUTS.items()}
    known = write_truth(folder, truth) if truth else None
    paths = folder / "reference.nc", paths, static
    evaluate(*paths, EXPERIMENTS, settings, "MD-made", outputs, known, models)
    return folder


def write_truth(folder, kelvin):
    """A file as evaluate/truth.py writes it."""
    fields = SummaryFile(folder / "reference.nc").fields
    with netCDF4.Dataset(folder / "truth.nc", "w") as data:
        write_labels(data, "experiment", ["aimip-p4k"])
        write_labels(data, "field", fields)
        data.createDimension("lat", len(LAT))
        data.createDimension("lon", len(LON))
        response = data.createVariable("response", "f4", ("experiment", "field", "lat", "lon"))
        response[:] = 0
        response[0, fields.index("tas")] = kelvin
        write_labels(data, "index", ["NAO"])
        data.createVariable("index_std", "f8", ("index",))[:] = [500.0]
    return folder / "truth.nc"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Three members with the reference's own noise: biases of 0.5, 0.25 and 0 spreads; a response of 3 K."""
    biases = {"r1i1p1f1": 0.5, "r2i1p1f1": 0.25, "r3i1p1f1": 0.0}
    simulations = {("aimip", name): {"seed": 0, "bias": bias} for name, bias in biases.items()}
    warmed = {("aimip-p4k", name): {"seed": 0, "bias": bias, "warming": 3.0} for name, bias in biases.items()}
    return run(tmp_path_factory.mktemp("evaluate"), simulations | warmed)


@pytest.fixture(scope="module")
def table(result):
    with open(result / "metrics.csv", newline="") as file:
        return Table(list(csv.DictReader(file)))


def members(table, metric, period, field, experiment="aimip"):
    return table.members("MD-made", metric, period, field, experiment)


def test_a_uniform_bias_is_found_member_by_member(table):
    for period in ("training", "test"):
        assert members(table, "E1_bias", period, "tas") == pytest.approx([1.5, 0.75, 0], abs=1e-4)
        assert members(table, "E1_rmsb", period, "ua250") == pytest.approx([1.5, 0.75, 0], abs=1e-4)
    assert members(table, "E1_rmsb", "test", "zg500") == pytest.approx([300 / 9.80665, 150 / 9.80665, 0], abs=1e-2)


def test_climatology_baseline_is_the_training_mean_taken_for_the_test_period(table):
    tas = channels(MONTHS, LAT, LON, seed=0)["t2m"].astype(np.float64)
    years = year_of(MONTHS)
    bias = tas[(years >= 1979) & (years <= 1983)].mean(0) - tas[years >= 1984].mean(0)
    assert table.single("climatology", "E1_rmsb", "test", "tas") == pytest.approx(rms(bias, LAT, 87.5), rel=1e-4)


def test_interannual_deviation_is_that_of_annual_means(table):
    tas = channels(MONTHS, LAT, LON, seed=0)["t2m"].astype(np.float64)
    annual = np.stack([tas[year_of(MONTHS) == year].mean(0) for year in range(1979, 1984)])
    expected = rms(annual.std(0, ddof=1), LAT, 87.5)
    assert table.single("reference", "interannual_std", "training", "tas") == pytest.approx(expected, rel=1e-5)


def test_trend_bias_vanishes_for_the_same_trend_and_equals_polyfit(table):
    assert members(table, "E2_trend_rms", "training", "tas") == pytest.approx([0, 0, 0], abs=1e-4)
    tas = channels(MONTHS, LAT, LON, seed=0)["t2m"].astype(np.float64)
    years = np.arange(1979, 1984)
    annual = np.stack([tas[year_of(MONTHS) == year].mean(0) for year in years])
    slope = np.polyfit(years / 10, annual.reshape(5, -1), 1)[0].reshape(len(LAT), len(LON))
    weights = np.where(np.abs(LAT) <= 87.5, np.cos(np.deg2rad(LAT)), 0)[:, None] + np.zeros(len(LON))
    expected = np.average(slope, weights=weights)
    assert table.single("reference", "trend_global", "training", "tas") == pytest.approx(expected, rel=1e-4)


def test_response_to_warming_is_exact_over_land_and_sea(table):
    for metric in ("E5_response", "E5_response_land", "E5_response_sea"):
        assert members(table, metric, "simulation", "ta850", "aimip-p4k") == pytest.approx([3.0] * 3, abs=1e-4)
    assert members(table, "E5_land_sea_ratio", "simulation", "tas", "aimip-p4k") == pytest.approx([1.0] * 3, abs=1e-4)
    assert members(table, "E5_response", "simulation", "psl", "aimip-p4k") == pytest.approx([0.0] * 3, abs=1e-2)


def test_every_submitted_field_is_evaluated(table):
    fields = table.fields("E1_rmsb", "test")
    assert len(fields) == 38
    assert {"tas", "huss", "tdas", "pr", "zg500", "ta1000", "hus50", "va250"} <= set(fields)
    assert sorted(["ta50", "tas", "ta1000", "pr"], key=field_order) == ["pr", "tas", "ta1000", "ta50"]


def test_netcdf_holds_the_same_numbers_and_the_mean_maps(result, table):
    with netCDF4.Dataset(result / "metrics.nc") as data:
        axes = [data[name][:].tolist() for name in ("source", "experiment", "member", "period", "field")]
        key = ("MD-made", "aimip", "r2i1p1f1", "test", "tas")
        place = tuple(axis.index(value) for axis, value in zip(axes, key, strict=True))
        assert data["E1_rmsb"][place] == pytest.approx(members(table, "E1_rmsb", "test", "tas")[1], rel=1e-12)
        field = data["spectral_field"][:].tolist().index("zg500")
        power = data["spectrum"][(*(axes[k].index(v) for k, v in enumerate(("reference", "", ""))), field)]
        assert power[1:4].sum() == pytest.approx(table.single("reference", "power_1-3", "test", "zg500"))
        index = data["index"][:].tolist().index("NAO")
        density = data["index_spectrum"][(*(axes[k].index(v) for k, v in enumerate(key[:3])), index)]
        assert density.shape == data["index_period"].shape and np.isfinite(density).all()
        place = axes[1].index("aimip"), axes[3].index("test"), axes[4].index("tas")
        assert np.allclose(data["E1_bias_map"][place], 0.75, atol=1e-4)


def test_scorecard_judges_the_median_member_against_climatology(result, table):
    card = json.loads((result / "card.json").read_text())
    tas = next(row for row in card["lines"] if row["name"] == "2 m temperature *")
    assert tas["median"] == pytest.approx(0.75, abs=1e-4)
    assert tas["reference"] == pytest.approx(table.single("climatology", "E1_rmsb", "test", "tas"))
    assert tas["verdict"] == ("better" if tas["median"] < tas["reference"] else "worse")
    assert set(card["criterion"]) == {"mean of all fields", "tas", "ta850"}
    assert card["criterion_met"] == all(card["criterion"].values())
    rain = next(row for row in card["lines"] if row["name"] == "precipitation")
    assert rain["median"] == pytest.approx(0.25 * 5e-6 * 86400, rel=1e-2)
    assert rain["units"] == "mm/day"


def test_scorecard_text_fits_a_terminal_and_html_names_every_line(result):
    text, html = (result / "card.txt").read_text(), (result / "card.html").read_text()
    body = text.split("Skill criterion")[0]
    assert max(map(len, body.splitlines())) <= 100
    for row in json.loads((result / "card.json").read_text())["lines"]:
        assert row["name"] in text
        assert row["name"] in html
    assert "E4: the temporal variance metric needs daily data" in text


def test_closing_words_name_the_report(result, tmp_path):
    report = tmp_path / "report.html"
    with pytest.raises(ValueError, match="report.html is not there"):
        closing_words(result / "card.txt", report)
    report.write_text("")
    assert closing_words(result / "card.txt", report).endswith(f"Report: {report}")


def test_better_than_climatology_is_met_by_a_perfect_member(tmp_path):
    run(tmp_path, {("aimip", "r1i1p1f1"): {"seed": 0}})
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["criterion_met"]
    assert {row["verdict"] for row in card["lines"] if row["section"].startswith("E1")} == {"better"}


def test_members_like_the_reference_have_as_much_spread_as_error(tmp_path):
    run(tmp_path, {("aimip", f"r{seed}i1p1f1"): {"seed": seed} for seed in (1, 2, 3)})
    with open(tmp_path / "metrics.csv", newline="") as file:
        table = Table(list(csv.DictReader(file)))
    assert members(table, "ensemble_spread_skill", "test", "zg500") == pytest.approx([1.0], abs=0.05)
    shares = [members(table, f"ensemble_rank_{rank}", "test", "zg500")[0] for rank in range(4)]
    assert shares == pytest.approx([0.25] * 4, abs=0.03)
    card = json.loads((tmp_path / "card.json").read_text())
    spread = next(row for row in card["lines"] if row["name"] == "spread/error, zg500")
    assert spread["verdict"] == "right"
    assert card["members"] == 3


def test_response_is_set_beside_the_truth_where_that_is_known(tmp_path):
    simulations = {("aimip", "r1i1p1f1"): {"seed": 0}, ("aimip-p4k", "r1i1p1f1"): {"seed": 0, "warming": 3.0}}
    run(tmp_path, simulations, truth=2.5)
    with open(tmp_path / "metrics.csv", newline="") as file:
        table = Table(list(csv.DictReader(file)))
    assert members(table, "E5_error_rms", "simulation", "tas", "aimip-p4k") == pytest.approx([0.5], abs=1e-4)
    assert table.members("truth", "E5_response_land", "simulation", "tas", "aimip-p4k") == pytest.approx([2.5])
    lines = json.loads((tmp_path / "card.json").read_text())["lines"]
    tas = next(row for row in lines if row["section"].startswith("E5") and row["name"] == "2 m temperature")
    assert (tas["reference"], tas["verdict"]) == (pytest.approx(2.5), "1.20 x")
    nao = next(row for row in lines if row["name"] == "NAO")
    assert "truth" in nao["section"] and nao["reference"] == pytest.approx(5.0)  # hPa


def test_truth_of_the_planet_is_its_forced_response(tmp_path):
    path, year = tmp_path / "truth.nc", ("1983-01", "1990-12")
    spans = {"simulation": ("1990-11", "1991-02"), "training": year, "validation": year, "test": ("1991-01", "1991-02")}
    planet_truth(path, VARIABLES, 7, 15.0, spans, EXPERIMENTS)
    with netCDF4.Dataset(path) as data:
        assert data["experiment"][:].tolist() == ["aimip-p4k"]
        found = data["response"][0, data["field"][:].tolist().index("ta850")]
        found_std = dict(zip(data["index"][:].tolist(), data["index_std"][:].tolist(), strict=True))
    # Years of the planet itself scatter about its expected deviations, the periodic QBO's less than the others'.
    months = np.arange("1983-01", "1991-01", dtype="datetime64[M]")
    wind = dict(Planet(7).fields(months, LAT, LON, ["u50", "msl"]))
    for name, channel, tolerance in (("QBO", "u50", 0.1), ("NAO", "msl", 0.25), ("SAM", "msl", 0.3)):
        series = np.tensordot(wind[channel], index_weights(name, LAT, LON), axes=2)
        assert found_std[name] == pytest.approx(deseasonalize(series, months).std(), rel=tolerance), name
    direct = Planet(7).forced_response(np.arange("1990-11", "1991-03", dtype="datetime64[M]"), LAT, LON, 4.0, ["t850"])
    assert np.allclose(found, direct["t850"].mean(0), atol=1e-4)
    assert 2 < found.mean() < 9


def test_short_periods_skip_with_a_reason_and_without_warnings(tmp_path):
    spans = periods(training=("1979-01", "1979-12"), validation=("1980-01", "1980-12"), test=("1981-01", "1981-12"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(tmp_path, {("aimip", "r1i1p1f1"): {"seed": 1}}, spans, minimum_years=5)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["skipped"]["trend_test"] == "1981-01..1981-12 has 1 complete year in the data and 5 are needed"
    assert {"enso_training", "std_test", "mean_first", "E4"} <= set(card["skipped"])
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert not [row for row in rows if row["metric"].startswith(("E2", "E3"))]
    assert not [row for row in rows if row["value"] == "nan" and row["metric"].startswith("E1")]


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


def test_fill_values_become_missing_not_numbers(tmp_path):
    files = write_simulation(tmp_path / "run", MONTHS, LAT, LON, seed=0)
    path = next(path for path in files if path.name.startswith("tas_"))
    with netCDF4.Dataset(path, "a") as data:
        data["tas"][5, 3, 4] = 1e20
    summarize([path], tmp_path / "aimip" / "r1.nc", INDEX, PERIODS, 2)
    maps = SummaryFile(tmp_path / "aimip" / "r1.nc").maps("mean_simulation")
    assert np.isnan(maps[0, 3, 4])
    assert np.nanmax(np.abs(maps)) < FILL_LIMIT
    assert np.isnan(maps).sum() == 1


def test_bad_inputs_are_named(tmp_path):
    files = write_simulation(tmp_path / "run", MONTHS[:-12], LAT, LON, seed=0)
    with pytest.raises(ValueError, match="lacks 12 months of the simulation 1978-10..1985-12"):
        summarize(files, tmp_path / "out.nc", INDEX, PERIODS, 2)
    era5, _ = write_era5(tmp_path / "era5", MONTHS, LAT, LON)
    with pytest.raises(ValueError, match="lacks 12 months of the simulation, the first is 1980-01"):
        summarize_reference([era5[0], era5[1], *era5[3:]], tmp_path / "out.nc", VARIABLES, INDEX, PERIODS, 2)
    assert not (tmp_path / "out.nc").exists()


def cdo(*arguments):
    """Words that CDO prints."""
    command = ["cdo", "-s", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(shutil.which("cdo") is None, reason="needs CDO")
def test_metrics_agree_with_cdo(tmp_path):
    """E1, E2, E3, E5, interannual deviation and an index computed by CDO from the same files.

    ``max_latitude`` and the box both leave the poles out.
    """
    simulations = {
        ("aimip", "r1i1p1f1"): {"seed": 3, "bias": 0.2},
        ("aimip-p4k", "r1i1p1f1"): {"seed": 4, "warming": 2.5},
    }
    run(tmp_path, simulations)
    ours, warmed = (next((tmp_path / f"{name}_r1i1p1f1").glob("tas_*.nc")) for name in ("aimip", "aimip-p4k"))
    cdo("-O", "-b", "F64", "mergetime", *sorted((tmp_path / "era5").glob("19*.nc")), tmp_path / "all.nc")
    era5, box = f"-selname,t2m {tmp_path}/all.nc".split(), "-sellonlatbox,0,359,-87.5,87.5"
    test, training = "-seldate,1984-01-01,1985-12-31", "-seldate,1979-01-01,1983-12-31"
    with open(tmp_path / "metrics.csv", newline="") as file:
        table = Table(list(csv.DictReader(file)))

    def known(metric, period, field="tas", experiment="aimip"):
        (value,) = members(table, metric, period, field, experiment)
        return pytest.approx(value, rel=1e-4)

    def number(*chain):
        (value,) = cdo("-b", "F64", "outputf,%.9g,1", *chain)
        return float(value)

    def mean(*chain):
        """CDO weighs by areas whose edges are great circles, AIMIP by cos(lat): the weights are given to it."""
        weighted = "-expr,w=x*cos(rad(clat(x)))", "-expr,w=(x==x)*cos(rad(clat(x)))"
        total, weights = (number("-fldsum", expression, "-setname,x", box, *chain) for expression in weighted)
        return total / weights

    bias = ["-sub", "-timmean", test, ours, "-timmean", test, *era5]
    assert mean("-sqr", *bias) ** 0.5 == known("E1_rmsb", "test")
    assert mean(*bias) == known("E1_bias", "test")

    slopes = [["-mulc,10", "-regres", "-timselmean,12", training, *source] for source in ([ours], era5)]  # per decade
    assert mean(*slopes[0]) == known("trend_global", "training")
    assert mean("-sqr", "-sub", *slopes[0], *slopes[1]) ** 0.5 == known("E2_trend_rms", "training")

    deviation = ["-timvar1", "-timselmean,12", training, ours]
    assert mean(*deviation) ** 0.5 == known("interannual_std", "training")

    response = ["-sub", "-timmean", warmed, "-timmean", ours]
    assert mean(*response) == known("E5_response", "simulation", experiment="aimip-p4k")

    # E3: covariance with the index over its variance, the index spread over the grid as a field.
    write_index_field(tmp_path / "index.nc")
    index = [training, tmp_path / "index.nc"]
    slopes = [["-div", "-timcovar", training, *source, *index, "-timvar", *index] for source in ([ours], era5)]
    assert mean("-sqr", "-sub", *slopes[0], *slopes[1]) ** 0.5 == known("E3_enso_rms", "training")

    wind = next((tmp_path / "aimip_r1i1p1f1").glob("ua_*.nc"))
    series = ["-fldmean", "-sellonlatbox,0,359,-5,5", "-sellevel,5000", training, wind]
    assert number("-timstd", "-ymonsub", *series, "-ymonmean", *series) == known("index_std", "training", "QBO")


def write_index_field(path):
    """AIMIP's index at each mid-month, the same in every cell."""
    times, values = read_index(INDEX)
    with netCDF4.Dataset(path, "w") as data:
        axes = (("time", mid_times(MONTHS), TIME_UNITS), ("lat", LAT, "degrees_north"), ("lon", LON, "degrees_east"))
        for name, places, units in axes:
            data.createDimension(name, len(places))
            data.createVariable(name, "f8", (name,))[:] = places
            data[name].units = units
        data["time"].calendar = CALENDAR
        field = np.interp(mid_times(MONTHS), times, values)[:, None, None] + np.zeros((1, len(LAT), len(LON)))
        data.createVariable("index", "f8", ("time", "lat", "lon"))[:] = field
