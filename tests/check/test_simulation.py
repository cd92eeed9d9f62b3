"""Every rule on a simulation, shown by breaking a copy of a good one: the rule, the file and the value are named."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers import made
from tests.helpers.broken import load, rebuild, rename, save
from workflow.scripts.check.rules import RULES, expectation
from workflow.scripts.check.simulation import check_files, check_simulation
from workflow.scripts.common.months import month_range

MODEL = "UMD-PARETO/MD-1p5"
RANGES = made.FACTS / "ranges.csv"


@pytest.fixture
def copy(tmp_path):
    """A copy of one good simulation, to break."""
    folder = f"submission/{MODEL}/aimip/r1i1p1f1"
    shutil.copytree(made.tree() / folder, tmp_path / folder)
    return tmp_path


def check(work, paths=None, conformance=False, **options):
    """Summary and report of the files of the copy, all or those in ``paths``."""
    expected = expectation(made.FACTS, RANGES, made.tree() / "tables/aimip")
    root = work / "submission"
    paths = paths or [path for path in root.rglob("*") if path.is_file()]
    return check_files(paths, root, expected, made.tree() / "forcing.nc", conformance=conformance, **options)


def test_a_good_simulation_passes_every_rule():
    folder = made.tree() / "submission" / MODEL / "aimip/r1i1p1f1"
    summary, report = check(made.tree(), list(folder.rglob("*.nc")), conformance=True)
    assert report.gates == []
    assert {finding.rule for finding in report.findings} == {"grid-spacing"}
    assert summary["member_id"] == "r1i1p1f1"
    assert len(summary["files"]) == 28
    used = {name for name, rule in RULES.items() if rule.scope in ("file", "simulation")}
    assert used | {"cf-conventions", "prescribed-sea"} == set(report.checked)


# Breaks of names: (rule, variable whose file is renamed, folder or None for the file name, new name, value named).
NAMES = [
    ("name-parts", None, "tas.nc", "tas.nc"),
    ("name-parts", None, "tas_Amon_MD_1p5_aimip_r1i1p1f1_gn_197810-197909.nc", "MD_1p5"),
    ("name-agrees", None, "tas_Amon_MD-1p5_aimip_r2i1p1f1_gn_197810-197909.nc", "'r2i1p1f1'"),
    ("name-agrees", "aimip", "aimip-p2k", "'aimip'"),
    ("period-name", None, "tas_Amon_MD-1p5_aimip_r1i1p1f1_gn_197810-197910.nc", "197810-197910"),
    ("model-name", "MD-1p5", "MD_1p5", "'MD_1p5'"),
    ("model-name", "UMD-PARETO", "UMD PARETO", "'UMD PARETO'"),
    ("experiment-name", "aimip", "aimip-4k", "'aimip-4k'"),
    ("experiment-name", "aimip", "aimip-p7k", "'aimip-p7k'"),
    ("member-name", "r1i1p1f1", "r1i1p2f1", "'r1i1p2f1'"),
    ("table-name", "Amon", "mon", "'mon'"),
    ("grid-name", "gn", "gr1", "'gr1'"),
    ("version-name", "v20261122", "20261122", "'20261122'"),
    ("variable-name", "tas", "tos", "'tos'"),
]


@pytest.mark.parametrize(("rule", "part", "new", "value"), NAMES)
def test_a_wrong_name_is_named(copy, rule, part, new, value):
    path = rename(made.submission_file(copy, "tas"), part, new)
    found = [finding for finding in check(copy, [path])[1].findings if finding.rule == rule]
    assert found
    assert any(finding.subject == str(path.relative_to(copy / "submission")) for finding in found)
    assert any(value in finding.message for finding in found)


def test_a_missing_version_folder_is_named(copy):
    path = made.submission_file(copy, "tas")
    shutil.move(path, path.parents[1] / path.name)
    assert named(check(copy)[1], "layout", path.name, "7 folders")


def named(report, rule, subject, value):
    """True if a finding that gates names the rule, the file and the value."""
    return any(
        finding.rule == rule and subject in finding.subject + finding.message and value in finding.message
        for finding in report.gates
    )


def attribute(key, value, variable=None):
    """An edit that sets an attribute of the file or of a variable; None removes it."""

    def edit(plain):
        attributes = plain.variables[variable][2] if variable else plain.attributes
        attributes.pop(key) if value is None else attributes.update({key: value})

    return edit


def coordinate(name, change):
    """An edit that applies ``change`` to a coordinate's values."""

    def edit(plain):
        plain.set(name, change(plain.values(name)))

    return edit


def field(name, change):
    """An edit that changes values of the field in place."""

    def edit(plain):
        change(plain.values(name))

    return edit


def put(index, value):
    """A change in place: one value or region."""

    def change(values):
        values[index] = value

    return change


def times(factor):
    """A change in place: another unit."""

    def change(values):
        values *= factor

    return change


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
    path = made.submission_file(copy, variable)
    rebuild(path, edit)
    alone = rule in RULES and RULES[rule].scope == "file"
    report = check(copy, [path] if alone else None)[1]
    subject = path.name if alone else variable
    assert named(report, rule, subject, value), "\n".join(map(str, report.findings))


def test_rebuilding_without_an_edit_breaks_nothing(copy):
    rebuild(made.submission_file(copy, "zg"), lambda plain: None)
    assert check(copy)[1].gates == []


def test_a_forcing_without_open_sea_is_named(copy):
    forcing = shutil.copy(made.tree() / "forcing.nc", copy / "forcing.nc")
    rebuild(forcing, lambda plain: plain.values("lsm").fill(1))
    expected = expectation(made.FACTS, RANGES, made.tree() / "tables/aimip")
    path = made.submission_file(copy, "ts")
    report = check_files([path], copy / "submission", expected, forcing, conformance=False)[1]
    assert named(report, "prescribed-sea", path.name, "no value was compared")


@pytest.mark.parametrize(
    ("experiment", "own", "passes"),
    [
        ("aimip-p2k", None, True),
        ("aimip-p7k", None, False),
        ("aimip-p7k", "aimip-p7k", True),
        ("aimip-p8k", "aimip-p7k", False),
    ],
)
def test_experiments_are_those_of_aimip_and_the_tables_own(experiment, own, passes):
    settings = {"attributes": {"experiment_id": own}} if own else None
    expected = SimpleNamespace(settings=settings)
    found = list(RULES["experiment-name"].function(SimpleNamespace(facets={"experiment_id": experiment}), expected))
    assert (found == []) == passes
    assert all(experiment in message for message in found)


def test_a_truncated_file_is_named(copy):
    path = made.submission_file(copy, "ta")
    path.write_bytes(path.read_bytes()[:-3000])
    assert named(check(copy)[1], "readable", path.name, "cannot be read")


def test_a_missing_variable_is_named(copy):
    made.submission_file(copy, "huss").unlink()
    report = check(copy)[1]
    assert named(report, "variables-complete", "huss", "huss on gn is absent")
    assert named(report, "files-as-planned", "huss_Amon", "is absent")


def test_a_stray_file_is_named(copy):
    path = made.submission_file(copy, "ta").with_suffix(".part")
    path.write_text("left by a killed run")
    report = check(copy)[1]
    assert named(report, "name-parts", path.name, path.name)
    assert named(report, "readable", path.name, "cannot be read")


def test_two_versions_of_a_file_are_named(copy):
    path = made.submission_file(copy, "tas")
    other = path.parents[1] / "v20260101" / path.name
    other.parent.mkdir()
    shutil.copy(path, other)
    report = check(copy)[1]
    assert named(report, "one-file-each", "tas", "2 files hold tas on gn")
    assert named(report, "files-as-planned", "v20260101", "is not planned")


def test_an_allowed_finding_does_not_gate(copy):
    path = made.submission_file(copy, "zg")
    rebuild(path, attribute("long_name", "Height", "zg"))
    assert len(check(copy)[1].gates) == 1
    report = check(copy, allow=("long-name=*/zg/*",))[1]
    assert report.gates == []
    assert "long-name" in {finding.rule for finding in report.findings}
    assert len(check(copy, allow=("long-name=*/ta/*",))[1].gates) == 1


def test_an_unknown_rule_cannot_be_allowed(copy):
    with pytest.raises(ValueError, match="no rule is called 'long_name'"):
        check(copy, allow=("long_name",))


@pytest.fixture
def no_cf(monkeypatch):
    """Leave out the CF checker, which takes longest and has its own tests."""
    monkeypatch.setattr("workflow.scripts.check.simulation.cf_findings", lambda paths: [])


def script(work, result):
    check_simulation(
        work / "submission",
        made.tree() / "tables/aimip",
        made.FACTS,
        RANGES,
        "aimip",
        1,
        made.tree() / "forcing.nc",
        result,
    )


def test_the_rule_writes_a_summary_of_a_good_simulation(copy, no_cf):
    script(copy, copy / "r1.json")
    summary = json.loads((copy / "r1.json").read_text())
    file = next(each for each in summary["files"] if each["variable"] == "psl" and each["grid"] == "gn")
    assert file["mean"] == [pytest.approx(101000, abs=200)]
    assert len(file["sha256"]) == len(file["data_sha256"]) == 64
    assert (copy / "submission" / file["path"]).stat().st_size == file["size"]


def test_the_rule_writes_nothing_for_a_broken_simulation(copy, no_cf):
    path = made.submission_file(copy, "tas")
    rebuild(path, field("tas", put((0, 0, 0), np.nan)))
    with pytest.raises(RuntimeError, match=rf"{path.name}: no-nan: 1 values are NaN"):
        script(copy, copy / "r1.json")
    assert not (copy / "r1.json").exists()


def test_the_rule_names_an_empty_folder(tmp_path):
    with pytest.raises(RuntimeError, match="r1i1p1f1 holds no file"):
        script(tmp_path, tmp_path / "r1.json")


def test_statistics_do_not_depend_on_the_slabs(tmp_path, monkeypatch):
    from workflow.scripts.check import files as cmor_files

    root = made.tree() / "submission"
    path = made.submission_file(made.tree(), "ta")
    whole = cmor_files.read_files([path], root)[0][0].statistics
    monkeypatch.setattr(cmor_files, "SLAB", 5)
    parts = cmor_files.read_files([path], root)[0][0].statistics
    values = load(path).values("ta")
    assert whole.months == parts.months == len(month_range(*made.PERIOD))
    assert whole.digest.digest() == parts.digest.digest()
    assert parts.minimum.tolist() == values.min(axis=(0, 2, 3)).tolist()
    assert parts.total == pytest.approx(values.sum(axis=0, dtype="f8"))


def test_a_month_repeated_across_slabs_is_found(copy, monkeypatch):
    from workflow.scripts.check import files as cmor_files

    monkeypatch.setattr(cmor_files, "SLAB", 5)
    path = made.submission_file(copy, "vas")
    plain = load(path)
    plain.values("vas")[5] = plain.values("vas")[4]
    save(plain, path)
    assert named(check(copy)[1], "no-repeat", path.name, "1979-03")
