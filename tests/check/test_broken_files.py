"""Every rule on what a file holds, shown by breaking one of a good simulation: rule, file and value are named."""

import shutil

import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.checking import RANGES, check, named
from tests.helpers.edit_netcdf import attribute, coordinate, field, put, rebuild, times
from workflow.scripts.check.rules import RULES, expectation
from workflow.scripts.check.simulation import check_files


def swap_dimensions(plain):
    plain.variables["tas"][0] = ("time", "lon", "lat")
    plain.set("tas", plain.values("tas").swapaxes(1, 2))


def drop_month(plain):
    for name in ("time", "time_bnds", "tas"):
        plain.set(name, plain.values(name)[:-1])


def drop(name, attribute_of=None):
    def edit(plain):
        del plain.variables[name]
        if attribute_of:
            plain.variables[attribute_of][2].pop("bounds")

    return edit


def scalar_level(plain):
    plain.variables["plev"][:2] = [(), np.float64(50000)]
    plain.variables["zg"][:2] = [("time", "lat", "lon"), plain.values("zg")[:, 0]]
    plain.variables["zg"][2]["coordinates"] = "plev"


def double(plain):
    plain.set("tas", plain.values("tas").astype("f8"))
    for key in ("_FillValue", "missing_value"):
        plain.variables["tas"][2][key] = np.float64(1e20)


def uncompressed(plain):
    plain.storage = {}


def classic(plain):
    plain.format = "NETCDF3_CLASSIC"


def extra_field(plain):
    plain.variables["area"] = [("lat", "lon"), np.ones((13, 24), "f4"), {"units": "m2"}]


def other_fill(plain):
    plain.variables["tas"][2] |= {"_FillValue": np.float32(-999), "missing_value": np.float32(-999)}


def month_ends(bounds):
    bounds = bounds.copy()
    bounds[:, 1] -= 1  # the last day of the month at 00 UTC, as pandas' month ends are
    return bounds


def halves(lon):
    return np.where(lon >= 180, lon - 360, lon)


def overshoot(bounds):
    bounds = bounds.copy()
    bounds[0, 0], bounds[-1, 1] = -97.5, 97.5
    return bounds


def gap(bounds):
    bounds = bounds.copy()
    bounds[3, 1] -= 1
    return bounds


# Breaks of one file: (rule, variable, edit, value that the finding must name).
FILES = [
    ("data-model", "tas", classic, "NETCDF3_CLASSIC"),
    ("one-field", "tas", extra_field, "area tas"),
    ("single-precision", "tas", double, "float64"),
    ("fill-value", "tas", other_fill, "-999"),
    ("compression", "tas", uncompressed, "deflate is 0"),
    ("standard-name", "tdas", attribute("standard_name", "air_temperature", "tdas"), "'air_temperature'"),
    ("units", "zg", attribute("units", "m2 s-2", "zg"), "'m2 s-2'"),
    ("units", "hus", attribute("units", "kg kg-1", "hus"), "'kg kg-1'"),
    ("units", "pr", attribute("units", None, "pr"), "''"),
    ("cell-methods", "ta", attribute("cell_methods", "time: point", "ta"), "'time: point'"),
    ("long-name", "ta", attribute("long_name", "temp", "ta"), "'temp'"),
    ("height", "tas", drop("height"), "absent"),
    ("height", "uas", coordinate("height", lambda value: value * 0 + 2), "2.0, not 10 m"),
    ("height", "tas", attribute("coordinates", "lat lon", "tas"), "'lat lon'"),
    ("required-attributes", "tas", attribute("grid", None), "grid is absent"),
    ("required-attributes", "tas", attribute("institution", " "), "institution is empty"),
    ("attributes-agree", "tas", attribute("experiment_id", "AIMIP"), "'AIMIP'"),
    ("attributes-agree", "tas", attribute("variant_label", "r2i1p1f1"), "'r2i1p1f1'"),
    ("indices", "tas", attribute("realization_index", "1"), "'1'"),
    ("indices", "tas", attribute("realization_index", np.int32(3)), "3"),
    ("fixed-attributes", "tas", attribute("frequency", "day"), "'day'"),
    ("fixed-attributes", "tas", attribute("activity_id", "CMIP"), "'CMIP'"),
    ("license-text", "tas", attribute("license", "Creative Commons Attribution-ShareAlike 4.0"), "ShareAlike"),
    ("tracking-id", "tas", attribute("tracking_id", "hdl:21.14100/1"), "'hdl:21.14100/1'"),
    ("grid-resolution", "tas", attribute("nominal_resolution", "111 km"), "'111 km'"),
    ("grid-resolution", "tas", attribute("nominal_resolution", "100 km"), "'2500 km'"),
    ("no-parent", "tas", attribute("parent_experiment_id", "piControl"), "'piControl'"),
    ("further-info", "tas", attribute("further_info_url", "furtherinfo.es-doc.org"), "'furtherinfo.es-doc.org'"),
    ("conventions", "tas", attribute("Conventions", "COARDS"), "'COARDS'"),
    ("data-specs", "tas", attribute("data_specs_version", "1.0"), "'1.0'"),
    ("config-attributes", "tas", attribute("contact", "cmip6-mpi-esm@dkrz.de"), "'cmip6-mpi-esm@dkrz.de'"),
    ("written-by-cmor", "tas", attribute("cmor_version", None), "cmor_version is absent"),
    ("written-by-cmor", "tas", attribute("history", "2019 MPI-ESM"), "2019 MPI-ESM"),
    ("written-by-cmor", "tas", attribute("history", "sst_offset=2 K; cmor=3; seed=7; sha256=0"), "sst_offset=0 K"),
    ("stated-offset", "tas", attribute("history", "sst_offset=2 K"), "offset of 2 K, but aimip means 0 K"),
    ("dimensions", "tas", swap_dimensions, "time lon lat"),
    ("coordinates", "tas", drop("time_bnds", "time"), "time_bnds"),
    ("coordinates", "tas", drop("lat_bnds", "lat"), "lat_bnds"),
    ("coordinate-attributes", "tas", coordinate("lat", lambda lat: lat.astype("f4")), "float32"),
    ("coordinate-attributes", "tas", attribute("units", "degrees", "lon"), "'degrees'"),
    ("time-units", "tas", attribute("calendar", "noleap", "time"), "'noleap'"),
    ("time-units", "tas", attribute("units", "months since 1978-10", "time"), "'months since 1978-10'"),
    ("time-count", "tas", drop_month, "11 months"),
    ("time-bounds-contiguous", "tas", coordinate("time_bnds", month_ends), "1978-10: [0.0, 30.0]"),
    ("time-middle", "tas", coordinate("time", lambda time: time - 15), "0.5"),
    ("latitude", "tas", coordinate("lat", lambda lat: lat[::-1]), "from 90 to -90"),
    ("latitude-bounds", "tas", coordinate("lat_bnds", overshoot), "-97.5"),
    ("latitude-bounds", "tas", coordinate("lat_bnds", gap), "gap of 1 degrees after cell 3"),
    ("longitude", "tas", coordinate("lon", halves), "-15"),
    ("longitude-bounds", "tas", coordinate("lon_bnds", lambda bounds: bounds * 0.9), "324"),
    ("grid-values", "tas", coordinate("lon", lambda lon: lon + 0.5), "0.5 degrees"),
    ("levels", "ta", coordinate("plev", lambda plev: plev / 100), "[1000.0, 850.0"),
    ("levels", "ta", attribute("units", "hPa", "plev"), "'hPa'"),
    ("levels", "zg", scalar_level, "a scalar"),
    ("no-nan", "ua", field("ua", put((3, 2, 5, 5), np.nan)), "1 values are NaN"),
    ("no-infinity", "ua", field("ua", put((3, 2, 5, 5), -np.inf)), "1 values are infinite"),
    ("no-missing", "ta", field("ta", put((slice(None), 0, 5, 5), np.float32(1e20))), "12 values"),
    ("never-negative", "pr", field("pr", put((0, 0, 0), -1e-8)), "-1e-08"),
    ("never-negative", "hus", field("hus", put((0, 6, 0, 0), -1e-9)), "1 values are negative"),
    ("no-repeat", "vas", lambda plain: field("vas", put(7, plain.values("vas")[6]))(plain), "1979-05"),
    ("no-flat-field", "psl", field("psl", put(2, 101325)), "1978-12"),
    ("value-range", "tas", field("tas", put((0, 0, 0), 400)), "400 K"),
    ("value-range", "zg", field("zg", times(9.80665)), "at 50000 Pa"),
    ("mean-range", "pr", field("pr", times(10)), "kg m-2 s-1"),
    ("mean-range", "ta", lambda plain: plain.set("ta", plain.values("ta")[:, ::-1].copy()), "at 100000 Pa"),
    ("coordinates-same", "tas", coordinate("lat", lambda lat: lat + np.where(lat == 15, 1e-9, 0)), "lat of"),
    ("attributes-same", "tas", attribute("institution", "University of Nowhere"), "'University of Nowhere'"),
    ("dewpoint-below-temperature", "tdas", field("tdas", put((4, 4, 4), 300)), "exceeds tas"),
    ("humidity-consistent", "huss", field("huss", times(1.2)), "20%"),
    ("grids-agree", "psl", field("psl", times(0.99)), "the mean of psl"),
    ("prescribed-sea", "ts", field("ts", lambda values: np.add(values, 0.5, out=values)), "0.5"),
    ("prescribed-sea", "ts", field("ts", put((3, 6, 0), np.nan)), "by up to nan K"),
    ("dewpoint-below-temperature", "tdas", field("tdas", put((4, 4, 4), np.nan)), "by up to nan K"),
]


@pytest.mark.parametrize(("rule", "variable", "edit", "value"), FILES)
def test_a_broken_file_is_named_with_its_rule_and_value(copy, rule, variable, edit, value):
    path = submission_files.submission_file(copy, variable)
    rebuild(path, edit)
    alone = rule in RULES and RULES[rule].scope == "file"
    report = check(copy, [path] if alone else None)[1]
    subject = path.name if alone else variable
    assert named(report, rule, subject, value), "\n".join(map(str, report.findings))


def test_rebuilding_without_an_edit_breaks_nothing(copy):
    rebuild(submission_files.submission_file(copy, "zg"), lambda plain: None)
    assert check(copy)[1].gates == []


def test_a_forcing_without_open_sea_is_named(copy):
    forcing = shutil.copy(submission_files.tree() / "forcing.nc", copy / "forcing.nc")
    rebuild(forcing, lambda plain: plain.values("lsm").fill(1))
    expected = expectation(submission_files.FACTS, RANGES, submission_files.tree() / "tables/aimip")
    path = submission_files.submission_file(copy, "ts")
    report = check_files([path], copy / "submission", expected, forcing, conformance=False)[1]
    assert named(report, "prescribed-sea", path.name, "no value was compared")
