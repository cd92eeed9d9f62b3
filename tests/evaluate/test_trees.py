"""Other people's trees: the same simulation written, laid out and linked in other ways gives the same numbers."""

import os

import netCDF4
import numpy as np
import pytest

from tests.helpers.evaluation_run import LAT, LON, MONTHS, PERIODS
from tests.helpers.evaluation_tree import write_simulation
from tests.helpers.project import INDEX, VARIABLES
from workflow.scripts.common.months import time_bounds
from workflow.scripts.evaluate.summarize.reader import SummaryFile
from workflow.scripts.evaluate.summarize.simulation import summarize
from workflow.scripts.evaluate.summarize.tree import summarize_tree
from workflow.scripts.submission.tree import find_simulations, netcdf_files

FOLDER = "GROUP/Other/aimip/r1i1p1f1/Amon"


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A simulation by the rules: (its files, its summary)."""
    folder = tmp_path_factory.mktemp("straight")
    files = write_simulation(folder / "files", MONTHS, LAT, LON, seed=5)
    summarize(files, folder / "aimip" / "r1i1p1f1.nc", INDEX, PERIODS, 2)
    return files, SummaryFile(folder / "aimip" / "r1i1p1f1.nc")


def name_of(variable, period="197810-198512"):
    return f"{variable}_Amon_Other_aimip_r1i1p1f1_gn_{period}.nc"


def copy(path, target, span=slice(None), change=None, rename=None, order=None, fill=1e20, packed=False, units=None):
    """The file ``path`` at ``target``: other months, values, names, order of dimensions, fillers, packing or units."""
    rename = rename or {}
    target.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path) as old, netCDF4.Dataset(target, "w") as new:
        field = path.name.split("_")[0]
        for name, dimension in old.dimensions.items():
            length = len(range(*span.indices(len(dimension)))) if name == "time" else len(dimension)
            new.createDimension(rename.get(name, name), length)
        for name, variable in old.variables.items():
            dims = [rename.get(dim, dim) for dim in variable.dimensions]
            values = variable[span] if "time" in variable.dimensions else variable[:]
            if name != field:
                made = new.createVariable(rename.get(name, name), "f8", dims)
                made[:] = values
                made.setncatts({key: variable.getncattr(key) for key in variable.ncattrs()})
                continue
            values = np.ma.filled(values.astype("f8"), np.nan)
            values = values if change is None else change(values)
            if order:
                places = [old[field].dimensions.index(dim) for dim in order]
                dims, values = [dims[place] for place in places], values.transpose(places)
            if packed:
                scale = (np.nanmax(values) - np.nanmin(values)) / 65000
                made = new.createVariable(field, "i2", dims, fill_value=-32768)
                made.setncatts({"scale_factor": scale, "add_offset": np.nanmin(values) + 32500 * scale})
                values = np.ma.masked_invalid(values)
            else:
                made = new.createVariable(field, "f4", dims, fill_value=fill)
                values = np.where(np.isnan(values), fill, values)
            made.units = units or old[field].units
            made[:] = values


def hole(values):
    """No value in one cell in every month, as where a level lies below the ground."""
    values[..., 3, 4] = np.nan
    return values


def tree_summary(root, output):
    summarize_tree(root, output, VARIABLES, INDEX, PERIODS, 2, ["aimip"])
    return SummaryFile(output / "aimip" / "r1i1p1f1.nc")


def assert_same(found, expected, fields, tolerance=3e-6, missing=None):
    for field in fields:
        wanted, got = expected.maps("mean_test", [field]), found.maps("mean_test", [field])
        if missing:
            assert np.isnan(got[(0, *missing)]) and np.isnan(got).sum() == 1
            wanted[(0, *missing)] = np.nan
        spread = np.nanmax(wanted) - np.nanmin(wanted)
        np.testing.assert_allclose(got, wanted, atol=tolerance * max(np.nanmax(np.abs(wanted)), spread), err_msg=field)


@pytest.mark.parametrize(
    "stored", [{"fill": -9999.0}, {"fill": 1e20}, {"fill": -9e33}, {"packed": True}], ids=lambda stored: str(stored)
)
def test_missing_values_are_left_out_however_they_are_marked(straight, tmp_path, stored):
    files, expected = straight
    for path in files:
        variable = path.name.split("_")[0]
        if variable in ("ta", "tas", "pr"):
            copy(path, tmp_path / FOLDER / variable / "gn" / name_of(variable), change=hole, **stored)
    found = tree_summary(tmp_path, tmp_path / "out")
    assert_same(found, expected, ["ta1000", "ta500", "tas", "pr"], 3e-5 if "packed" in stored else 3e-6, missing=(3, 4))


@pytest.mark.parametrize(
    ("variable", "units", "change", "fields"),
    [
        ("ta", "degC", lambda values: values - 273.15, ["ta850", "ta50"]),
        ("tas", "celsius", lambda values: values - 273.15, ["tas"]),
        ("ps", "mbar", lambda values: values / 100, ["ps"]),
        ("psl", "hPa", lambda values: values / 100, ["psl"]),
        ("pr", "m day-1", lambda values: values * 86.4, ["pr"]),
        ("pr", "mm/day", lambda values: values * 86400, ["pr"]),
        ("pr", "kg m-2 day-1", lambda values: values * 86400, ["pr"]),
        ("hus", "g/kg", lambda values: values * 1000, ["hus850"]),
        ("zg", "m2 s-2", lambda values: values * 9.80665, ["zg500"]),
        ("zg", "dam", lambda values: values / 10, ["zg500"]),
        ("uas", "km h-1", lambda values: values * 3.6, ["uas"]),
    ],
)
def test_units_are_compared_and_converted(straight, tmp_path, variable, units, change, fields):
    files, expected = straight
    (path,) = (path for path in files if path.name.startswith(f"{variable}_"))
    copy(path, tmp_path / FOLDER / variable / "gn" / name_of(variable), change=change, units=units)
    assert_same(tree_summary(tmp_path, tmp_path / "out"), expected, fields)


def test_humidity_comes_from_a_dewpoint_in_any_unit(straight, tmp_path):
    files, expected = straight
    changes = {"tdas": (lambda values: values - 273.15, "degC"), "ps": (lambda values: values / 100, "hPa")}
    for path in files:
        variable = path.name.split("_")[0]
        if variable in changes:
            change, units = changes[variable]
            copy(path, tmp_path / FOLDER / variable / "gn" / name_of(variable), change=change, units=units)
    assert_same(tree_summary(tmp_path, tmp_path / "out"), expected, ["huss", "tdas", "ps"], 2e-5)


@pytest.mark.parametrize(("units", "words"), [("furlongs", "'furlongs'"), ("kg", "'kg'"), ("s", "'s'")])
def test_a_unit_without_a_way_to_ours_is_refused(straight, tmp_path, units, words):
    (path,) = (path for path in straight[0] if path.name.startswith("tas_"))
    copy(path, tmp_path / FOLDER / "tas" / "gn" / name_of("tas"), units=units)
    with pytest.raises(ValueError, match=f"tas_Amon_Other.*'tas' is in {words}.*'K'"):
        tree_summary(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("stamp", [0, 1], ids=["start", "end"])
@pytest.mark.parametrize("units", ["days since 1850-1-1 00:00:00", "hours since 1978-10-16 12:00:00"])
def test_the_bounds_say_which_month_a_mean_is_of(straight, tmp_path, stamp, units):
    files, expected = straight
    (path,) = (path for path in files if path.name.startswith("tas_"))
    target = tmp_path / FOLDER / "tas" / "gn" / name_of("tas")
    copy(path, target)
    shift = {"days since 1850-1-1 00:00:00": 47025.0, "hours since 1978-10-16 12:00:00": -15.5}[units]
    scale = 24 if units.startswith("hours") else 1
    with netCDF4.Dataset(target, "a") as data:
        data["time"].setncatts({"units": units, "bounds": "time_bnds", "calendar": "standard"})
        data["time"][:] = (time_bounds(MONTHS)[:, stamp] + shift) * scale
        data.createDimension("bnds", 2)
        data.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = (time_bounds(MONTHS) + shift) * scale
    assert_same(tree_summary(tmp_path, tmp_path / "out"), expected, ["tas"])


@pytest.mark.parametrize(
    "written",
    [
        {"rename": {"lat": "latitude", "lon": "longitude"}},
        {"order": ("lon", "lat", "time")},
        {"order": ("time", "lon", "lat"), "rename": {"lat": "y", "lon": "x"}},
    ],
    ids=str,
)
def test_axes_have_any_name_and_order(straight, tmp_path, written):
    files, expected = straight
    (path,) = (path for path in files if path.name.startswith("tas_"))
    copy(path, tmp_path / FOLDER / "tas" / "gn" / name_of("tas"), **written)
    found = tree_summary(tmp_path, tmp_path / "out")
    assert_same(found, expected, ["tas"])
    np.testing.assert_array_equal(found.lat, expected.lat)


def test_files_split_in_time_are_joined(straight, tmp_path):
    files, expected = straight
    cuts = [("197810-197912", slice(0, 15)), ("198001-198212", slice(15, 51)), ("198301-198512", slice(51, None))]
    for path in files:
        variable = path.name.split("_")[0]
        for period, span in cuts if variable in ("tas", "ta") else []:
            copy(path, tmp_path / FOLDER / variable / "gn" / name_of(variable, period), span=span)
    assert_same(tree_summary(tmp_path, tmp_path / "out"), expected, ["tas", "ta850"], tolerance=1e-7)
    (tmp_path / FOLDER / "tas/gn" / name_of("tas", "198001-198212")).unlink()
    with pytest.raises(ValueError, match=r"tas_.*without a gap: after 1979-12 comes 1983-01"):
        tree_summary(tmp_path, tmp_path / "out2")


def esgf(root, files, variables=("tas", "ta")):
    """A data node's tree: the newest files in files/, versions of links to them, ``latest`` a link to a version."""
    for path in files:
        variable = path.name.split("_")[0]
        if variable not in variables:
            continue
        folder = root / FOLDER / variable / "gn"
        copy(path, folder / "files/d20260101" / name_of(variable), change=lambda values: values + 100)
        copy(path, folder / "files/d20261122" / name_of(variable))
        for version in ("20260101", "20261122"):
            (folder / f"v{version}").mkdir()
            target = os.path.join("..", "files", f"d{version}", name_of(variable))
            (folder / f"v{version}" / name_of(variable)).symlink_to(target)
        (folder / "latest").symlink_to("v20261122")


def test_a_tree_of_version_links_is_read_once_in_its_last_version(straight, tmp_path):
    files, expected = straight
    esgf(tmp_path / "tree", files)
    found = [str(path.relative_to(tmp_path / "tree" / FOLDER)) for path in netcdf_files(tmp_path / "tree")]
    assert found == [
        f"{variable}/gn/v{version}/{name_of(variable)}"
        for variable in ("ta", "tas")
        for version in ("20260101", "20261122")
    ]
    assert_same(tree_summary(tmp_path / "tree", tmp_path / "out"), expected, ["tas", "ta850"], tolerance=1e-7)


def test_linked_folders_are_followed_and_circles_are_not(straight, tmp_path):
    files, expected = straight
    esgf(tmp_path / "node", files)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "GROUP").symlink_to(tmp_path / "node" / "GROUP")
    (tmp_path / "node" / "GROUP" / "again").symlink_to(tmp_path / "node" / "GROUP")
    assert_same(tree_summary(tmp_path / "tree", tmp_path / "out"), expected, ["tas"], tolerance=1e-7)


def test_the_newest_version_is_that_of_the_highest_number(straight, tmp_path):
    files, expected = straight
    (path,) = (path for path in files if path.name.startswith("tas_"))
    for version, more in (("v9", 100), ("v10", 0)):
        target = tmp_path / FOLDER / "tas/gn" / version / name_of("tas")
        copy(path, target, change=lambda values, more=more: values + more)
    assert_same(tree_summary(tmp_path, tmp_path / "out"), expected, ["tas"], tolerance=1e-7)


def test_a_version_may_keep_files_of_the_one_before(straight, tmp_path):
    files, expected = straight
    (path,) = (path for path in files if path.name.startswith("tas_"))
    folder, cuts = tmp_path / FOLDER / "tas/gn", {"197810-197912": slice(0, 15), "198001-198512": slice(15, None)}
    for period, span in cuts.items():
        copy(path, folder / "files/d1" / name_of("tas", period), span=span)
        for version in ("v1", "v2"):
            (folder / version).mkdir(exist_ok=True)
            (folder / version / name_of("tas", period)).symlink_to(f"../files/d1/{name_of('tas', period)}")
    assert_same(tree_summary(tmp_path, tmp_path / "out"), expected, ["tas"], tolerance=1e-7)
    (folder / "files/d1" / name_of("tas", "198001-198512")).unlink()
    with pytest.raises(ValueError, match="is a link to .* which is not there"):
        tree_summary(tmp_path, tmp_path / "out2")


def test_folders_of_two_models_are_refused_and_the_nearest_folder_names_the_experiment(straight, tmp_path):
    (path,) = (path for path in straight[0] if path.name.startswith("tas_"))
    copy(path, tmp_path / "aimip" / FOLDER.replace("aimip", "aimip-p4k") / "tas/gn" / name_of("tas"))
    assert list(find_simulations(tmp_path)) == [("aimip-p4k", "r1i1p1f1")]
    copy(path, tmp_path / "B" / FOLDER / "tas/gn" / name_of("tas").replace("Other", "Second"))
    with pytest.raises(ValueError, match="files of the models Other, Second; name the folder of one"):
        find_simulations(tmp_path)


def test_one_level_stands_for_itself_alone(straight, tmp_path):
    files, _ = straight
    (path,) = (path for path in files if path.name.startswith("ta_"))
    target = tmp_path / FOLDER / "ta/gn" / name_of("ta")
    copy(path, target)
    with netCDF4.Dataset(target) as whole:
        values = whole["ta"][:, 1]
    target.unlink()
    copy(next(path for path in files if path.name.startswith("tas_")), target.with_name("tas_" + name_of("ta")[3:]))
    target.with_name("tas_" + name_of("ta")[3:]).rename(target)
    with netCDF4.Dataset(target, "a") as data:
        data.renameVariable("tas", "ta")
        data["ta"][:] = values
        data.createVariable("plev", "f8", ())[...] = 85000.0
        data["plev"].units = "Pa"
    assert tree_summary(tmp_path, tmp_path / "out").fields == ["ta850"]


@pytest.mark.parametrize("grid", ["cyclic", "regional"])
def test_a_grid_that_is_not_once_round_the_globe_is_refused(straight, tmp_path, grid):
    (path,) = (path for path in straight[0] if path.name.startswith("tas_"))
    target = tmp_path / FOLDER / "tas/gn" / name_of("tas")
    copy(path, target)
    with netCDF4.Dataset(target, "a") as data:
        data["lon"][:] = np.linspace(0, 360 if grid == "cyclic" else 40, len(LON))
    with pytest.raises(ValueError, match="do not go once round the globe"):
        tree_summary(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("axis", ["lat", "lon"])
def test_humidity_is_not_made_of_two_grids(straight, tmp_path, axis):
    """Of rows between the others' numpy would say that shapes do not fit; of shifted columns it would say nothing."""
    lat, lon = ((LAT[1:] + LAT[:-1]) / 2, LON) if axis == "lat" else (LAT, LON + 7.5)
    others = write_simulation(tmp_path / "other", MONTHS, lat, lon, seed=5)
    for variable, files in (("tdas", straight[0]), ("ps", others)):
        (path,) = (path for path in files if path.name.startswith(f"{variable}_"))
        copy(path, tmp_path / "tree" / FOLDER / variable / "gn" / name_of(variable))
    first, second = (
        f"{len(south)}x{len(west)} cells from {south[0]:g} to {south[-1]:g} and {west[0]:g} to {west[-1]:g} degrees"
        for south, west in ((LAT, LON), (lat, lon))
    )
    with pytest.raises(ValueError, match=f"huss cannot .*/tdas_Amon.* on {first} and .*/ps_Amon.* on {second}; give"):
        tree_summary(tmp_path / "tree", tmp_path / "out")
