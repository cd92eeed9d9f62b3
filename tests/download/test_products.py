"""Hourly fields in parts, daily ones that the CDS has not, and a centre's own files."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.helpers import cds_replies
from tests.helpers.cds_stand_in import FOR_EVER
from tests.helpers.downloads import LIMITS, MONTHS, SETTINGS, VARIABLES, get
from tests.helpers.grib import write_grib
from tests.helpers.project import left_over
from workflow.scripts.common.variables import read_variables
from workflow.scripts.download.era5 import download_era5
from workflow.scripts.inputs.era5 import open_era5


def hourly_answer(folder):
    """Answers to hourly requests, made as they are asked."""
    rows = {row.cds_name: row.short_name for row in read_variables(VARIABLES, dataset="single-levels")}

    def answer(collection, request):
        days = [f"{request['year'][0]}-{request['month'][0]}-{day}" for day in request["day"]]
        times = np.array([f"{day}T{hour}" for day in days for hour in request["time"]], "datetime64[s]")
        lat, lon = cds_replies.grid(30)
        fields = {rows[name]: cds_replies.fake(rows[name], times, lat, lon) for name in request["variable"]}
        path = folder / "-".join(["reply", *request["variable"], *request["year"]])
        cds_replies.write_member(path, fields, times, lat, lon)
        return path

    return answer


def test_hourly_fields_arrive_by_month_and_variable_and_finished_parts_survive_an_interruption(
    stand_in, tmp_path, monkeypatch
):
    table = tmp_path / "variables.csv"
    lines = VARIABLES.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line for line in lines if line.split(",")[3] in ("t2m", "avg_tprate"))]))
    stand_in.answer = hourly_answer(tmp_path)
    settings = SETTINGS | {"product": "hourly", "resolution": 30}
    (tmp_path / "out").mkdir()
    output, record = tmp_path / "out/1979.era5", tmp_path / "out/1979.json"
    arguments = (output, record, table, "single-levels", ["1979-12"], settings, LIMITS)

    stand_in.fault("asset", reset=False)  # the first part arrives; then the server is gone
    stand_in.fault("asset", 404, times=FOR_EVER)
    with pytest.raises(RuntimeError, match="broke off .* gave up"):
        download_era5(*arguments)
    assert not output.exists() and len(list((tmp_path / "out").rglob("*.part"))) == 1
    stand_in.faults.clear()
    download_era5(*arguments)
    assert left_over(tmp_path / "out") == ["1979.era5", "1979.json"]

    # A month of each variable, and the hour that ends December; none asked twice, the first not even fetched again.
    asked = [
        (request["variable"], request["year"], len(request["day"]), len(request["time"]))
        for _, request in stand_in.requests
    ]
    rain = ["mean_total_precipitation_rate"]
    assert asked == [(["2m_temperature"], ["1979"], 31, 24), (rain, ["1979"], 31, 24), (rain, ["1980"], 1, 1)]
    about = json.loads(record.read_text())
    assert about["request_ids"] == list(stand_in.jobs), "the id of a part that an earlier run fetched is lost"
    assert about["requests"] == [request for _, request in stand_in.requests]
    with open_era5(output, "hourly") as dataset:
        assert dataset.sizes["time"] == 31 * 24 + 1
        last = dataset.isel(time=-1)
        assert np.isfinite(last["avg_tprate"]).all() and np.isnan(last["t2m"]).all()


def test_hourly_parts_in_grib_become_one_file_of_grib(stand_in, tmp_path):
    table = tmp_path / "variables.csv"
    lines = VARIABLES.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line for line in lines if line.split(",")[3] in ("t2m", "avg_tprate"))]))
    answer = hourly_answer(tmp_path)
    stand_in.answer = lambda *asked: write_grib(tmp_path / "reply.grib", answer(*asked))
    settings = SETTINGS | {"product": "hourly", "resolution": 30, "format": "grib"}
    output = tmp_path / "out/1979.era5"
    download_era5(output, tmp_path / "out/1979.json", table, "single-levels", ["1979-12"], settings, LIMITS)
    assert {request["data_format"] for _, request in stand_in.requests} == {"grib"} and len(stand_in.requests) == 3
    assert output.read_bytes().count(b"GRIB") == 2 * 31 * 24 + 1 and output.read_bytes().startswith(b"GRIB")
    assert left_over(tmp_path / "out") == ["1979.era5", "1979.json"]


def test_daily_fields_of_the_cds_are_refused_with_the_cure(stand_in, tmp_path):
    with pytest.raises(ValueError, match="the CDS has no daily single-levels .* set download.product to monthly"):
        get(tmp_path, settings=SETTINGS | {"product": "daily"})
    assert stand_in.calls == []


def test_local_files_are_checked_and_linked_not_copied(tmp_path, replies):
    settings = {"source": "local", "product": "monthly", "era5t": False}
    output = tmp_path / "out/1979.era5"
    args = (output, tmp_path / "1979.json", VARIABLES, "single-levels", MONTHS[9:], settings)
    download_era5(*args, local=replies / "single")
    assert output.is_symlink() and output.resolve() == (replies / "single").resolve()
    record = json.loads((tmp_path / "1979.json").read_text())
    assert record["file"] == str(replies / "single") and record["expver"] == ["0001"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(record["time"])).total_seconds() < 600
    with pytest.raises(ValueError, match="pressure.*skt"):
        download_era5(*args, local=replies / "pressure")
    with pytest.raises(FileNotFoundError, match="check local.folder"):
        download_era5(*args, local=replies / "none")
    write_grib(tmp_path / "1979.nc", replies / "single")
    download_era5(*args, local=tmp_path / "1979.nc")
    assert output.read_bytes().startswith(b"GRIB"), "the file's bytes say what it is, not its name"
    cds_replies.write_single_levels(tmp_path / "short", 1979, range(1, 12))
    with pytest.raises(ValueError, match="1979-12 is missing"):
        download_era5(*args, local=tmp_path / "short")
