"""Rules on the format and the attributes of a file."""

import re

import numpy as np

from workflow.scripts.check.rules import rule
from workflow.scripts.common.experiments import OFFICIAL, history_entry, recorded_change, recorded_offset, stated
from workflow.scripts.submission.attributes import NOMINAL_RESOLUTIONS, REQUIRED_ATTRIBUTES, nominal_resolution
from workflow.scripts.submission.drs import MEMBER, TABLE, TRACKING_PREFIX

FIXED = {"activity_id": "AIMIP", "frequency": "mon", "table_id": TABLE, "realm": "atmos", "product": "model-output"}
FIXED |= {"mip_era": "CMIP6", "sub_experiment_id": "none", "sub_experiment": "none"}
COORDINATES = {"time", "time_bnds", "lat", "lat_bnds", "lon", "lon_bnds", "plev", "height"}
AGREE = ("institution_id", "source_id", "experiment_id", "table_id", "variable_id", "grid_label")
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def differs(what, found, wanted):
    """The sentence of most rules here, or nothing."""
    if isinstance(found, str) != isinstance(wanted, str) or found != wanted:
        yield f"{what} is {found!r}, not {wanted!r}"


@rule("file")
def readable(file, expected):
    """The file opens and all its months can be read."""
    if file.error:
        yield f"it cannot be read ({file.error})"


@rule("file")
def data_model(file, expected):
    """The file is netCDF-4."""
    if file.data_model not in ("NETCDF4", "NETCDF4_CLASSIC"):
        yield f"its format is {file.data_model}, not NETCDF4 or NETCDF4_CLASSIC"


@rule("file")
def one_field(file, expected):
    """One field per file, named as its folder."""
    fields = sorted(set(file.variables) - COORDINATES)
    if fields != [file.variable]:
        yield f"its fields are {' '.join(fields) or 'none'}, not {file.variable} alone"


@rule("file")
def single_precision(file, expected):
    """Values are single precision."""
    yield from differs("the type of the values", file.variables[file.variable].dtype, "float32")


@rule("file")
def fill_value(file, expected):
    """_FillValue and missing_value are 1e20."""
    for key in ("_FillValue", "missing_value"):
        value = file.variables[file.variable].attributes.get(key)
        if value is None or np.float32(value) != np.float32(1e20):
            yield f"{key} is {value}, not 1e20"


@rule("file", own=True)
def compression(file, expected):
    """Values are deflated and shuffled as the config asks."""
    filters, level = file.variables[file.variable].filters, expected.settings["deflate"]
    if filters.get("complevel", 0) != level or not filters.get("shuffle"):
        shuffle = bool(filters.get("shuffle"))
        yield f"deflate is {filters.get('complevel', 0)} and shuffle {shuffle}, not {level} and True"


@rule("file")
def standard_name(file, expected):
    """standard_name is that of the table."""
    yield from _attribute(file, expected, "standard_name")


@rule("file")
def units(file, expected):
    """units are those of the table."""
    yield from _attribute(file, expected, "units")


@rule("file")
def cell_methods(file, expected):
    """cell_methods say that the values are means over the month."""
    yield from _attribute(file, expected, "cell_methods")


@rule("file", own=True)
def long_name(file, expected):
    """long_name is that of the table."""
    yield from _attribute(file, expected, "long_name")


def _attribute(file, expected, key):
    found = file.variables[file.variable].attributes.get(key, "")
    yield from differs(key, found, expected.entries[file.variable][key])


@rule("file")
def height(file, expected):
    """Values near the surface carry the scalar coordinate height."""
    wanted, found = expected.height(file.variable), file.coordinates.get("height")
    if wanted is not None and (found is None or found.size != 1 or float(found) != wanted):
        yield f"the scalar height is {'absent' if found is None else found.tolist()}, not {wanted:g} m"
    if wanted is not None and found is not None:
        named = file.variables[file.variable].attributes.get("coordinates", "")
        if "height" not in str(named).split():
            yield f"the attribute coordinates is '{named}', which does not name height"


@rule("file")
def required_attributes(file, expected):
    """CMIP6's required global attributes are there and not empty."""
    for key in REQUIRED_ATTRIBUTES:
        if str(file.attributes.get(key, "")).strip() == "":
            yield f"the global attribute {key} is {'empty' if key in file.attributes else 'absent'}"


@rule("file")
def attributes_agree(file, expected):
    """Global attributes agree with the path."""
    for key in AGREE:
        yield from differs(f"the global attribute {key}", file.attributes.get(key), file.facets[key])
    yield from differs(
        "the global attribute variant_label", file.attributes.get("variant_label"), file.facets["member_id"]
    )


@rule("file")
def indices(file, expected):
    """The four indices are integers that agree with the member's label."""
    numbers = re.fullmatch(MEMBER, file.facets["member_id"])
    for name, number in zip(
        ("realization", "initialization", "physics", "forcing"), numbers.groups() if numbers else (), strict=False
    ):
        value = file.attributes.get(f"{name}_index")
        if not isinstance(value, (int, np.integer)) or int(value) != int(number):
            yield f"{name}_index is {value!r}, not the integer {number}"


@rule("file")
def fixed_attributes(file, expected):
    """AIMIP's constant global attributes have their values."""
    for key, wanted in FIXED.items():
        yield from differs(f"the global attribute {key}", file.attributes.get(key), wanted)


@rule("file")
def license_text(file, expected):
    """The license is CC BY 4.0, without further conditions."""
    text = str(file.attributes.get("license", ""))
    wrong = re.search(r"Share-?Alike|Non-?Commercial|NoDerivatives|by-(sa|nc|nd)", text, re.IGNORECASE)
    if wrong or "Attribution 4.0" not in text or "creativecommons.org/licenses/by/4.0" not in text:
        yield f"the license reads '{text[:120]}', not Creative Commons Attribution 4.0 alone"


@rule("file")
def tracking_id(file, expected):
    """tracking_id is hdl:21.14100/ and a UUID."""
    value = str(file.attributes.get("tracking_id", ""))
    if not re.fullmatch(f"{re.escape(TRACKING_PREFIX)}/{UUID}", value):
        yield f"tracking_id is '{value}', not {TRACKING_PREFIX}/ and a UUID"


@rule("file")
def grid_resolution(file, expected):
    """nominal_resolution is CMIP6's name for this grid."""
    value = file.attributes.get("nominal_resolution", "")
    if value not in (*NOMINAL_RESOLUTIONS, "1x1 degree"):
        yield f"nominal_resolution is '{value}', not one of {', '.join(NOMINAL_RESOLUTIONS)}, 1x1 degree"
    elif (
        {"lat", "lon"} <= set(file.coordinates)
        and file.coordinates["lat"].ndim == 1
        and file.coordinates["lat"].size > 1
    ):
        wanted = nominal_resolution(file.coordinates["lat"], file.coordinates["lon"])
        if value != wanted and {value, wanted} != {"100 km", "1x1 degree"}:
            yield f"nominal_resolution is '{value}', but the cells make it '{wanted}'"


@rule("file", own=True)
def no_parent(file, expected):
    """The run has no parent."""
    for key, wanted in expected.settings["attributes"].items():
        if key.startswith("parent_"):
            yield from differs(f"the global attribute {key}", file.attributes.get(key), wanted)


@rule("file")
def further_info(file, expected):
    """further_info_url is an https address."""
    value = str(file.attributes.get("further_info_url", ""))
    if not value.startswith("https://"):
        yield f"further_info_url is '{value}', not an address that starts with https://"


@rule("file")
def conventions(file, expected):
    """Conventions name CF."""
    value = str(file.attributes.get("Conventions", ""))
    if not re.match(r"CF-1\.\d+", value):
        yield f"Conventions is '{value}', not CF-1.7 CMIP-6.2"


@rule("file")
def data_specs(file, expected):
    """data_specs_version has the form dd.dd.dd."""
    value = str(file.attributes.get("data_specs_version", ""))
    if not re.fullmatch(r"\d\d\.\d\d\.\d\d", value):
        yield f"data_specs_version is '{value}', not of the form 01.00.33"


@rule("file", own=True)
def config_attributes(file, expected):
    """Global attributes say what the config says."""
    wanted = dict(expected.settings["attributes"])
    wanted |= {"version": expected.settings["version"]}
    if file.grid in expected.settings["grids"]:
        facts = expected.settings["grids"][file.grid]
        wanted |= {"grid": facts["grid"], "nominal_resolution": facts["nominal_resolution"]}
    for key, value in wanted.items():
        if key not in ("calendar", "tracking_prefix") and not key.startswith("parent_"):
            yield from differs(f"the global attribute {key}", file.attributes.get(key), value)


@rule("file")
def stated_offset(file, expected):
    """A file of an AIMIP experiment whose history states how the sea differs states what AIMIP means by the name."""
    history, meant = str(file.attributes.get("history", "")), file.facets["experiment_id"]
    offset, more = recorded_offset(history), recorded_change(history)
    if offset is not None and offset != OFFICIAL.get(meant, offset):
        yield f"the history states an SST offset of {offset:g} K, but {meant} means {OFFICIAL[meant]:g} K"
    if more and meant in OFFICIAL:
        words = ", ".join(f"{key}={value}" for key, value in more.items())
        yield f"the history states {words}, but {meant} means an SST offset alone"


@rule("file", own=True)
def written_by_cmor(file, expected):
    """CMOR wrote the file and its history says from what."""
    if not file.attributes.get("cmor_version"):
        yield "the global attribute cmor_version is absent: CMOR did not write it"
    for key in (history_entry(stated(expected.settings)), "cmor=", "seed=", "sha256="):
        if key not in str(file.attributes.get("history", "")):
            yield f"the history has no '{key}': '{str(file.attributes.get('history', ''))[:120]}'"
