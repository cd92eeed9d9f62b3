"""Downloads through the real cdsapi client from a stand-in on loopback: each fault ends in a right file or sentence."""

import filecmp
import json
import logging
import re
import time
import zipfile
from collections import Counter

import numpy as np
import pytest

from tests.helpers import cds_replies
from tests.helpers.cds_faults import FATAL, RECOVERED, WRONG, covers
from tests.helpers.cds_stand_in import KEY
from tests.helpers.downloads import LIMITS, MONTHS, SETTINGS, VARIABLES, get
from tests.helpers.grib import write_grib
from tests.helpers.project import left_over
from workflow.scripts.common.variables import read_variables
from workflow.scripts.download import cds as cds_client
from workflow.scripts.download.backoff import Backoff


@pytest.mark.parametrize("dataset", ["single-levels", "pressure-levels", "static"])
def test_a_dataset_and_year_arrive_with_one_request_and_a_record(dataset, stand_in, replies, tmp_path):
    output = get(tmp_path, dataset)
    reply = replies / {"single-levels": "single", "pressure-levels": "pressure", "static": "static"}[dataset]
    assert filecmp.cmp(output, reply, shallow=False)
    assert left_over(tmp_path) == ["1979.era5", "1979.json"]
    (collection, request), record = stand_in.requests[0], json.loads((tmp_path / "1979.json").read_text())
    assert len(stand_in.requests) == 1 and record["requests"] == [request] and record["dataset"] == collection
    assert record["request_ids"] == list(stand_in.jobs) and record["expver"] == ["0001"]
    assert record["size"] == output.stat().st_size and re.fullmatch("[0-9a-f]{64}", record["sha256"])
    rows = read_variables(VARIABLES, dataset=dataset)
    assert set(request["variable"]) == {row.cds_name for row in rows}
    assert request["product_type"] == ["monthly_averaged_reanalysis"] and request["time"] == ["00:00"]
    assert "area" not in request and "grid" not in request and request["data_format"] == "netcdf"
    if dataset == "pressure-levels":
        assert request["pressure_level"] == ["1000", "850", "700", "500", "250", "100", "50"]
    assert all(isinstance(value, str) for values in request.values() if isinstance(values, list) for value in values)


@pytest.mark.parametrize("dataset", ["single-levels", "pressure-levels", "static"])
def test_grib_is_asked_for_and_kept_where_the_config_wants_it(dataset, stand_in, replies, tmp_path):
    reply = {"single-levels": "single", "pressure-levels": "pressure", "static": "static"}[dataset]
    write_grib(tmp_path / "reply", replies / reply)
    stand_in.answer = lambda *_: tmp_path / "reply"
    output = get(tmp_path / "out", dataset, SETTINGS | {"format": "grib"})
    ((_, request),) = stand_in.requests
    assert request["data_format"] == "grib"
    assert filecmp.cmp(output, tmp_path / "reply", shallow=False)
    assert left_over(tmp_path / "out") == ["1979.era5", "1979.json"]
    record = json.loads((tmp_path / "out/1979.json").read_text())
    assert record["requests"] == [request] and record["expver"] == ["0001"]


@pytest.mark.parametrize("fault", RECOVERED)
def test_waiting_mends_what_waiting_can_mend(fault, stand_in, replies, tmp_path):
    RECOVERED[fault].strike(stand_in)
    assert filecmp.cmp(get(tmp_path), replies / "single", shallow=False)
    assert left_over(tmp_path) == ["1979.era5", "1979.json"]
    assert len(stand_in.requests) == RECOVERED[fault].requests, "a job was queued in vain"


@covers("busy")
@pytest.mark.filterwarnings("ignore:.*messages")  # the client warns where it cannot read the service's messages
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, "reset"])
def test_every_call_bears_every_passing_failure(status, stand_in, replies, tmp_path):
    for route in ("messages", "process", "submit", "job", "results"):
        stand_in.fault(route, **({"reset": True} if status == "reset" else {"status": status}))
    assert filecmp.cmp(get(tmp_path, limits=LIMITS | {"outage": 10 / 3600}), replies / "single", shallow=False)
    assert len(stand_in.requests) == 1


@covers("busy", "transfer")
@pytest.mark.parametrize("route", ["process", "job", "results", "asset"])
def test_a_call_without_an_answer_is_made_again(route, stand_in, replies, tmp_path, monkeypatch):
    monkeypatch.setattr(cds_client, "TIMEOUT", 0.5)
    stand_in.fault(route, stall=1.5)
    begun = time.monotonic()
    assert filecmp.cmp(get(tmp_path, limits=LIMITS | {"outage": 10 / 3600}), replies / "single", shallow=False)
    assert time.monotonic() - begun >= 0.5
    assert len(stand_in.requests) == 1


@pytest.mark.parametrize("fault", FATAL)
def test_what_waiting_cannot_mend_ends_in_one_sentence_and_no_file(fault, stand_in, monkeypatch, tmp_path):
    FATAL[fault].strike(stand_in)
    limits = LIMITS | {"patience": LIMITS["outage"]}
    waits, wait = [], Backoff.wait

    def counted(backoff, kind, sentence):
        waits.append(kind)
        wait(backoff, kind, sentence)

    monkeypatch.setattr(Backoff, "wait", counted)
    with pytest.raises((RuntimeError, ValueError), match=FATAL[fault].sentence) as caught:
        get(tmp_path, limits=limits)
    # Pauses that double from 0.01 s fill 0.4 s after 6 of them.
    assert max(Counter(waits).values(), default=0) <= 12, "it tried for too long"
    assert len(stand_in.calls) < 200, "it asked too often"
    assert "\n" not in str(caught.value) and KEY not in str(caught.value)
    assert [name for name in left_over(tmp_path) if not name.endswith(".job")] == []
    assert len(stand_in.requests) <= FATAL[fault].requests, "a request that cannot succeed was sent again"


@covers("for ever")
@pytest.mark.filterwarnings("ignore:HTTPConnectionPool")  # the client warns; the test is on what we say
def test_a_server_that_is_not_there_ends_in_one_sentence(stand_in, monkeypatch, tmp_path):
    monkeypatch.setenv("CDSAPI_URL", "http://127.0.0.1:9/api")
    with pytest.raises(RuntimeError, match="no connection to http://127.0.0.1:9/api .* gave up"):
        get(tmp_path)
    assert left_over(tmp_path) == []


@covers("key")
@pytest.mark.parametrize("key", [None, "", "12345:abcdef"])
def test_a_missing_or_old_key_is_refused_before_any_call(key, stand_in, monkeypatch, tmp_path):
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "no-such-file"))
    monkeypatch.delenv("CDSAPI_KEY")
    if key is not None:
        monkeypatch.setenv("CDSAPI_KEY", key)
    with pytest.raises(RuntimeError, match="get a key at https://cds.climate.copernicus.eu"):
        get(tmp_path)
    assert stand_in.calls == []


def test_a_slash_at_the_end_of_the_address_does_no_harm(stand_in, monkeypatch, tmp_path):
    monkeypatch.setenv("CDSAPI_URL", stand_in.url + "/")
    assert get(tmp_path).is_file()


def test_a_broken_transfer_goes_on_where_it_stopped(stand_in, replies, tmp_path, monkeypatch):
    big = tmp_path / "big"
    with zipfile.ZipFile(replies / "single") as source, zipfile.ZipFile(big, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        lat, lon = cds_replies.grid(1)
        noise = np.random.default_rng(0).normal(size=(12, len(lat), len(lon))).astype(np.float32)
        cds_replies.write_member(tmp_path / "noise", {"msl": noise}, cds_replies.month_starts(1979), lat, lon)
        assert (tmp_path / "noise").stat().st_size > 2**21
        target.write(tmp_path / "noise", "noise.bin")
    stand_in.answer = lambda *_: big
    stand_in.fault("asset", cut=2**20 + 5000)
    rows = read_variables(VARIABLES, dataset="single-levels")
    collection, request = cds_client.requests_for("single-levels", rows, MONTHS)[0]
    cds_client.retrieve(collection, request, tmp_path / "out", lambda path: None, LIMITS, tmp_path / "job")
    assert filecmp.cmp(tmp_path / "out", big, shallow=False)
    assert ("GET", "asset", 206) in stand_in.calls


@covers("killed")
def test_a_queued_request_is_found_again_after_an_interruption(stand_in, replies, tmp_path, monkeypatch):
    def interrupted(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cds_client.Job, "download", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(tmp_path)
    assert [name for name in left_over(tmp_path) if not name.endswith(".job")] == []
    output = get(tmp_path)
    assert filecmp.cmp(output, replies / "single", shallow=False)
    assert len(stand_in.requests) == 1, "the request was queued a second time"
    assert left_over(tmp_path) == ["1979.era5", "1979.json"]


@covers("forgotten")
def test_a_job_that_the_server_forgot_is_submitted_anew(stand_in, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cds_client.Job, "download", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            get(tmp_path)
    stand_in.jobs.clear()
    assert get(tmp_path).is_file()
    assert len(stand_in.requests) == 2


def test_the_key_is_never_logged(stand_in, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    get(tmp_path)
    assert caplog.records and KEY not in caplog.text


@pytest.mark.parametrize("fault", WRONG)
def test_a_reply_with_wrong_content_is_refused_by_name_and_leaves_no_file(fault, stand_in, tmp_path):
    WRONG[fault].write(tmp_path / "reply", 1979)
    stand_in.answer = lambda *_: tmp_path / "reply"
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=WRONG[fault].sentence) as caught:
        get(tmp_path / "out")
    assert str(caught.value).startswith("the reply of the CDS for single-levels 1979")
    assert left_over(tmp_path / "out") == []


@covers("content")
def test_a_level_that_is_missing_is_named(stand_in, tmp_path):
    cds_replies.write_pressure_levels(tmp_path / "reply", 1979, levels=(1000, 850, 700, 500, 250, 100))
    stand_in.answer = lambda *_: tmp_path / "reply"
    with pytest.raises(ValueError, match="the reply of the CDS for pressure-levels 1979: .*lacks the level 50 hPa"):
        get(tmp_path / "out", "pressure-levels")
    assert left_over(tmp_path / "out") == []


@covers("content")
def test_damage_inside_a_netcdf_file_is_found(stand_in, replies, tmp_path):
    whole = (replies / "pressure").read_bytes()
    middle = len(whole) // 2
    (tmp_path / "reply").write_bytes(whole[:middle] + bytes(500) + whole[middle + 500 :])
    stand_in.answer = lambda *_: tmp_path / "reply"
    (tmp_path / "out").mkdir()
    with pytest.raises(
        ValueError, match="the reply of the CDS for pressure-levels 1979 is damaged .* download it again"
    ):
        get(tmp_path / "out", "pressure-levels")
    assert left_over(tmp_path / "out") == []
    assert stand_in.count("asset", "GET") == 2, "damage may come from the transfer: it is fetched once more"


def test_preliminary_data_are_recorded_where_they_are_allowed(stand_in, tmp_path):
    cds_replies.write_single_levels(tmp_path / "reply", 1979, expver=["0001"] * 10 + ["0005"] * 2)
    stand_in.answer = lambda *_: tmp_path / "reply"
    get(tmp_path, settings=SETTINGS | {"era5t": True})
    assert json.loads((tmp_path / "1979.json").read_text())["expver"] == ["0001", "0005"]
