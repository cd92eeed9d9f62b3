"""The checks of a submission by another table of variables: what does not hold for it is left out with a reason."""

from types import SimpleNamespace

import netCDF4
import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.project import DATA
from workflow.scripts.check.prescribed_sea import PrescribedSea, places_of, sea_findings
from workflow.scripts.check.rules import expectation
from workflow.scripts.check.sets import coordinates_same
from workflow.scripts.check.simulation import left_out_rules
from workflow.scripts.check.values import without_range
from workflow.scripts.cmorize.tables import write_tables
from workflow.scripts.common.months import month_range
from workflow.scripts.common.ncfiles import add_field, add_grid, add_months, new_file


def expected_of(folder, table):
    write_tables(
        folder, submission_files.FACTS, table, "aimip", 0, submission_files.SUBMISSION, 15.0, submission_files.PERIOD
    )
    return expectation(submission_files.FACTS, submission_files.FACTS / "ranges.csv", folder)


def test_nothing_is_left_out_of_a_submission_by_aimips_own_table(tmp_path):
    expected = expected_of(tmp_path, submission_files.VARIABLES)
    assert left_out_rules(expected, set(expected.entries)) == {}
    # One that is not there is a finding, not a rule left out.
    assert left_out_rules(expected, set(expected.entries) - {"huss", "tdas"}) == {}
    assert list(without_range(expected)) == []


def test_what_another_table_leaves_out_is_named(tmp_path):
    expected = expected_of(tmp_path, DATA / "ncep_reanalysis_fields.csv")
    found = left_out_rules(expected, set(expected.entries))
    assert found["variables-complete"].endswith(
        "leaves out ta, hus, ua, ts, huss or tdas, uas, vas, pr, which AIMIP asks for"
    )
    assert found["dewpoint-below-temperature"] == "the table of variables leaves out tdas"
    assert found["humidity-consistent"] == "the table of variables leaves out huss, ps, tdas"
    assert list(without_range(expected)) == ["zg at 20000 Pa"]


def test_variables_on_levels_of_their_own_differ_in_these_alone(tmp_path):
    """Temperature on 850, 500 and 250 hPa, humidity on two of them, wind on the same two in another order."""
    lines = submission_files.VARIABLES.read_text().splitlines()
    wanted = {"ta": ("850", "500", "250"), "hus": ("850", "500"), "ua": ("850", "500")}
    rows = [line for line in lines if line.split(",")[4] in wanted.get(line.split(",")[-1], ())]
    (tmp_path / "table.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    expected = expected_of(tmp_path / "tables", tmp_path / "table.csv")
    assert expected.levels("hus") == [85000, 50000] and len(expected.levels("ta")) == 3

    def found(**levels):
        files = [
            SimpleNamespace(variable=name, grid="gn", relative=name, coordinates={"plev": np.array(values)})
            for name, values in levels.items()
        ]
        return list(coordinates_same(files, {}, expected))

    assert found(ta=[85000, 50000, 25000], hus=[85000, 50000], ua=[85000, 50000]) == []
    assert found(ta=[85000, 50000, 25000], hus=[85000, 50000], ua=[50000, 85000]) == [
        "plev of ua differs from that of hus"
    ]


@pytest.mark.parametrize(
    ("ice", "variables", "words"),
    [(True, ["tas"], "no ts"), (False, ["ts"], "no sea ice"), (True, ["ts"], None)],
)
def test_the_sea_is_compared_where_there_are_ts_and_ice(tmp_path, ice, variables, words):
    with netCDF4.Dataset(tmp_path / "forcing.nc", "w") as file:
        for name, size in (("time", 1), ("lat", 2), ("lon", 4)):
            file.createDimension(name, size)
            file.createVariable(name, "f8", (name,))[:] = range(size)
        file.createVariable("lsm", "f4", ("lat", "lon"))[:] = 0
        for name in ("sst", *(["siconc"] if ice else [])):
            file.createVariable(name, "f4", ("time", "lat", "lon"))[:] = 0
    with PrescribedSea(tmp_path / "forcing.nc") as sea:
        reason = sea.left_out(variables)
    assert reason is None if words is None else words in reason


def test_the_sea_is_that_of_the_files_months_and_places(tmp_path):
    """The forcing begins years before ts; ts counts its longitudes from -180."""
    months = month_range("1950-01", "1952-12")
    lat, lon = np.array([-45.0, 45.0]), np.array([0.0, 90.0, 180.0, 270.0])
    sst = 280 + np.arange(36.0)[:, None, None] + 10 * np.arange(4) + np.arange(2)[:, None]
    with new_file(tmp_path / "forcing.nc", "a test") as file:
        add_months(file, months)
        add_grid(file, lat, lon)
        add_field(file, "lsm", ("lat", "lon"))[:] = [[0, 0, 0, 1], [0, 0, 0, 0]]
        add_field(file, "sst", ("time", "lat", "lon"))[:] = sst
        add_field(file, "siconc", ("time", "lat", "lon"))[:] = 0
    for name, offset, turn in (("control", 0, 0), ("warm", 4, 0), ("turned", 4, 2)):
        with new_file(tmp_path / f"{name}.nc", "a test") as file:
            add_months(file, months[20:30])
            add_grid(file, lat, lon if not turn else np.array([-180.0, -90.0, 0.0, 90.0]))
            add_field(file, "ts", ("time", "lat", "lon"))[:] = np.roll(sst[20:30] + offset, turn, axis=-1)
    with PrescribedSea(tmp_path / "forcing.nc") as sea:
        assert list(sea_findings(tmp_path / "control.nc", sea, 0)) == []
        assert list(sea_findings(tmp_path / "turned.nc", sea, 4)) == []
        (finding,) = sea_findings(tmp_path / "warm.nc", sea, 3)
        assert "by up to 1 K" in finding
    with PrescribedSea(tmp_path / "forcing.nc", tmp_path / "forcing.nc") as sea:
        assert list(sea_findings(tmp_path / "warm.nc", sea, 4, tmp_path / "control.nc")) == []
        with netCDF4.Dataset(tmp_path / "control.nc", "a") as file:
            file["time"].units = file["time_bnds"].units = "moons since 1950-01-01"
        (finding,) = sea_findings(tmp_path / "warm.nc", sea, 4, tmp_path / "control.nc")
        assert finding.startswith("ts was not compared: ") and "moons" in finding


def test_months_are_found_in_any_order():
    months = month_range("1950-01", "1950-12")[[5, 3, 11, 0, 8, 2, 10, 1, 7, 4, 9, 6]]
    wanted = month_range("1950-03", "1950-09")
    assert months[places_of(months, wanted)].tolist() == wanted.tolist()
