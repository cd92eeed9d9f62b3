import filecmp
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import submission_files
from tests.helpers.project import DATA
from workflow.scripts.check.rules import expectation
from workflow.scripts.cmorize import tables as cmor_tables
from workflow.scripts.common import experiments, mip_tables
from workflow.scripts.common.grids import centres
from workflow.scripts.common.variables import read_variables
from workflow.scripts.submission import attributes

CMIP6_TABLES = Path("/usr/share/cmor/CMIP6")
needs_cmip6 = pytest.mark.skipif(not CMIP6_TABLES.is_dir(), reason="Debian's cmor-tables are not installed")


def entries():
    return mip_tables.read_entries(submission_files.FACTS)


def write(folder, experiment="aimip", offset=0, sea=None, **changes):
    submission = submission_files.SUBMISSION | changes
    cmor_tables.write_tables(
        folder,
        submission_files.FACTS,
        submission_files.VARIABLES,
        experiment,
        offset,
        submission,
        15.0,
        submission_files.PERIOD,
        **(sea or {}),
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source_id": "MD_1p5"}, "submission.source_id: 'MD_1p5'"),
        ({"source_id": "MD-"}, "submission.source_id: 'MD-' is not allowed, use letters and digits"),
        ({"institution_id": "UMD PARETO"}, "submission.institution_id: 'UMD PARETO'"),
        ({"version": "20261122"}, "submission.version: '20261122'"),
        ({"version": "v20261322"}, "submission.version: 'v20261322'"),
        ({"further_info_url": "http://example.org"}, "submission.further_info_url: 'http://example.org'"),
        ({"contact": "see further_info_url"}, "submission.contact: 'see further_info_url'"),
        ({"contact": "a@b@c"}, "submission.contact: 'a@b@c'"),
        ({"references": " "}, "submission.references is empty"),
        ({"experiment": "aimip_p2k", "offset": 2}, "experiments: 'aimip_p2k'"),
        ({"experiment": "AIMIP"}, "experiments: 'AIMIP'"),
    ],
)
def test_a_wrong_name_stops_in_one_sentence_before_a_file_is_written(tmp_path, changes, words):
    with pytest.raises(ValueError, match=r"^config ") as error:
        write(tmp_path / "tables", **changes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "tables").exists()


def test_the_command_line_writes_what_the_function_writes(tmp_path):
    submission = submission_files.SUBMISSION | {
        "institution": 'Université d\'Été {of the} "Sea"',
        "references": "$HOME & 2 * 3 %s",
    }
    cmor_tables.write_tables(
        tmp_path / "a",
        submission_files.FACTS,
        submission_files.VARIABLES,
        "aimip-m2k",
        -0.00001,
        submission,
        15.0,
        submission_files.PERIOD,
    )
    words = ["--facts", submission_files.FACTS, "--variables", submission_files.VARIABLES]
    words += ["--experiment", "aimip-m2k", "--sst-offset=-1e-05", "--resolution", 15]
    words += ["--submission", json.dumps(submission), "--period", *submission_files.PERIOD, "--out", tmp_path / "b"]
    assert cmor_tables.main(list(map(str, words))) == 0
    for name in mip_tables.TABLE_FILES:
        assert filecmp.cmp(tmp_path / "b" / name, tmp_path / "a" / name, shallow=False)


def test_the_vocabulary_holds_the_names_of_the_config_and_no_others(tmp_path):
    write(tmp_path, "aimip-p2k", 2, institution_id="ABC", source_id="X-1")
    vocabulary = json.loads((tmp_path / "AIMIP_CV.json").read_text())["CV"]
    assert list(vocabulary["institution_id"]) == ["ABC"]
    assert list(vocabulary["source_id"]) == ["X-1"]
    assert vocabulary["source_id"]["X-1"]["institution_id"] == ["ABC"]
    assert list(vocabulary["experiment_id"]) == ["aimip-p2k"]
    assert "raised by 2 K" in vocabulary["experiment_id"]["aimip-p2k"]["experiment"]
    assert sorted(vocabulary["grid_label"]) == ["gn", "gr"]


@pytest.mark.parametrize(("offset", "words"), [(3, "raised by 3 K"), (-2, "lowered by 2 K"), (0.5, "raised by 0.5 K")])
def test_any_offset_is_said_in_words(offset, words):
    sea = {"sst_offset": offset}
    assert cmor_tables.experiment_title(sea).endswith(f"sea surface temperature {words} everywhere")
    history = f"seed=1; {experiments.history_entry(sea)}; written by CMOR"
    assert experiments.recorded_offset(history) == offset and experiments.recorded_change(history) == {}


def test_a_pattern_and_ice_that_follows_are_said_in_words_and_read_back(tmp_path):
    (tmp_path / "el-nino.nc").write_bytes(b"maps")
    write(tmp_path / "tables", "aimip-el-nino", 0.5, sea={"pattern": tmp_path / "el-nino.nc", "ice": "follow"})
    settings = json.loads((tmp_path / "tables/submission.json").read_text())
    title = "raised by 0.5 K everywhere and changed by the pattern el-nino.nc, sea ice following it"
    assert settings["attributes"]["experiment"].endswith(title)
    history = f"seed=1; {experiments.history_entry(experiments.stated(settings))}; written by CMOR"
    assert f"sst_pattern_sha256={hashlib.sha256(b'maps').hexdigest()}" in history
    assert experiments.recorded_offset(history) == 0.5
    assert experiments.recorded_change(history) == {"sst_pattern": "el-nino.nc", "ice": "follow"}


def test_the_license_is_cc_by_without_share_alike():
    text = cmor_tables.LICENSE.format(institution="Nowhere")
    assert text.startswith(
        "AIMIP model data produced by Nowhere is licensed under a Creative Commons Attribution 4.0 International "
        "License (https://creativecommons.org/licenses/by/4.0/)."
    )
    assert "ShareAlike" not in text


@pytest.mark.parametrize(
    ("resolution", "poles", "expected"),
    [
        (1.5, True, "250 km"),
        (1.0, False, "1x1 degree"),
        (4.5, True, "500 km"),
        (0.25, True, "25 km"),
        (15, True, "2500 km"),
    ],
)
def test_nominal_resolution_is_cmip6s_name(resolution, poles, expected):
    assert attributes.nominal_resolution(*centres(resolution, poles)) == expected


def test_mean_diameter_of_small_cells_is_that_of_flat_rectangles():
    lat, lon = centres(0.5, poles=False)
    side = np.deg2rad(0.5) * 6371
    flat = np.average(side * np.hypot(1, np.cos(np.deg2rad(lat))), weights=np.cos(np.deg2rad(lat)))
    assert attributes.mean_diameter(lat, lon) == pytest.approx(flat, rel=5e-3)


def test_the_table_has_the_variables_and_levels_that_the_channels_make():
    channels = {}
    for row in read_variables(submission_files.VARIABLES, role="field"):
        for name in row.cmor_name:
            channels.setdefault(name, []).append(row.level)
    axes = mip_tables.read_axes(submission_files.FACTS)
    assert set(entries()) == set(channels)
    for name, entry in entries().items():
        axis = next((each for each in entry["dimensions"].split() if each.startswith("plev")), None)
        pressures = [float(level) / 100 for level in axes[axis]["requested"]] if axis else [None]
        assert pressures == channels[name], name


def test_every_variable_has_a_plausible_range():
    lines = (submission_files.FACTS / "ranges.csv").read_text().splitlines()[1:]
    assert {line.split(",")[0] for line in lines} == set(entries())


def test_aimips_own_table_of_variables_gives_aimips_tables(tmp_path):
    write(tmp_path)
    for name in mip_tables.MIP_TABLES:
        assert filecmp.cmp(tmp_path / name, submission_files.FACTS / name, shallow=False)


def test_tables_follow_another_table_of_variables(tmp_path, caplog):
    table = DATA / "ncep_reanalysis_fields.csv"
    cmor_tables.write_tables(
        tmp_path, submission_files.FACTS, table, "aimip", 0, submission_files.SUBMISSION, 15.0, submission_files.PERIOD
    )
    expected = expectation(submission_files.FACTS, submission_files.FACTS / "ranges.csv", tmp_path)
    assert {name: expected.levels(name) for name in expected.entries} == {
        "va": [20000.0],
        "zg": [50000.0, 20000.0],
        "psl": [],
        "tas": [],
    }
    assert expected.height("tas") == 2 and expected.entries["zg"]["units"] == "m"
    assert "hus of AIMIP is left out" in caplog.text and "zg is on 50000., 20000. Pa" in caplog.text


@needs_cmip6
@pytest.mark.parametrize("name", sorted(entries()))
def test_the_table_agrees_with_cmip6s(name):
    table, other = ("Emon", "tdps") if name == "tdas" else ("Amon", name)
    known = json.loads((CMIP6_TABLES / f"CMIP6_{table}.json").read_text())["variable_entry"][other]
    for key in ("standard_name", "units", "cell_methods", "long_name", "frequency", "type", "positive"):
        assert entries()[name][key] == known[key], key


@needs_cmip6
def test_axes_agree_with_cmip6s():
    own = mip_tables.read_axes(submission_files.FACTS)
    known = json.loads((CMIP6_TABLES / "CMIP6_coordinate.json").read_text())["axis_entry"]
    for name, entry in own.items():
        other = known["plev19" if name.startswith("plev") else name]
        for key in ("standard_name", "units", "axis", "long_name", "out_name", "positive", "stored_direction", "type"):
            assert entry[key] == other[key], (name, key)
    assert "plev7" not in own, "CMIP6 gives that name to other levels"


@needs_cmip6
def test_required_attributes_are_cmip6s():
    known = json.loads((CMIP6_TABLES / "CMIP6_CV.json").read_text())["CV"]
    assert sorted(attributes.REQUIRED_ATTRIBUTES) == sorted(known["required_global_attributes"])
    assert {*attributes.NOMINAL_RESOLUTIONS, "1x1 degree"} == set(known["nominal_resolution"])
