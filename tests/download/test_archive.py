"""Models from AIMIP's public archive, against a stand-in for its object store."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.helpers.cds_stand_in import StandIn
from tests.helpers.project import VARIABLES
from workflow.scripts.download.archive import download_archive, list_objects

LIMITS = {"first_wait": 0.01, "outage": 0.0003}
MODEL = "GROUP/Deviant"


def key(variable, experiment="aimip", member="r1i1p1f1", table="Amon", version="v20260101", model=MODEL):
    name = f"{variable}_{table}_Deviant_{experiment}_{member}_gr_197810-202412.nc"
    return f"{model}/{experiment}/{member}/{table}/{variable}/gr/{version}/{name}"


WANTED = [key("tas"), key("zg"), key("tas", "aimip-2k"), key("tos", "aimip-2k")]
OTHERS = [
    key("tas", version="v20251201"),  # an older version
    key("rlut"),
    key("tas", table="day"),
    key("tas", "aimip-4k"),
    key("tas", model="GROUP/Deviant-2"),
    f"{MODEL}/aimip/r1i1p1f1/Amon/tas/gr/v20260101/tas_Amon_Deviant_aimip_r1i1p1f1_gr_197810-202412.nc.~1~",
]


@pytest.fixture
def bucket(tmp_path):
    objects = {}
    for number, name in enumerate([*WANTED, *OTHERS]):
        objects[name] = tmp_path / f"object{number}"
        objects[name].write_bytes(bytes([number + 1]) * (30_000 + number))
    with StandIn(objects=objects) as server:
        yield server


def get(server, folder, manifest=None, prefix=MODEL):
    record = folder / "Deviant.json"
    experiments = ["aimip", "aimip-p2k"]
    download_archive(record, folder / "Deviant", server.bucket_url, prefix, VARIABLES, experiments, LIMITS, manifest)
    return json.loads(record.read_text())


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_monthly_files_of_the_newest_version_arrive_whole(bucket, tmp_path):
    record = get(bucket, tmp_path / "out")
    assert sorted(item["key"] for item in record["files"]) == sorted(WANTED)
    places = [f"Deviant/{name[len(MODEL) + 1 :]}" for name in WANTED]
    assert files_of(tmp_path / "out") == sorted(["Deviant.json", *places])
    for item in record["files"]:
        content = (tmp_path / "out/Deviant" / item["key"][len(MODEL) + 1 :]).read_bytes()
        assert content == bucket.objects[item["key"]].read_bytes()
        assert item["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(list_objects(bucket.bucket_url, "GROUP/", LIMITS)) == len(WANTED) + len(OTHERS)  # five pages


@pytest.mark.parametrize("route", ["listing", "object"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}])
def test_a_server_in_trouble_is_waited_for(route, fault, bucket, tmp_path):
    bucket.fault(route, times=2, **fault)
    assert len(get(bucket, tmp_path / "out")["files"]) == len(WANTED)


@pytest.mark.parametrize("fault", [{"cut": 5000}, {"zeros": True}, {"announce": 9}])
def test_a_damaged_transfer_is_made_good(fault, bucket, tmp_path):
    bucket.fault("object", **fault)
    record = get(bucket, tmp_path / "out")
    assert {item["sha256"] for item in record["files"]} == {
        hashlib.sha256(bucket.objects[name].read_bytes()).hexdigest() for name in WANTED
    }


def test_an_interrupted_download_goes_on_where_it_was(bucket, tmp_path):
    bucket.fault("object", times=2)  # nothing the matter
    bucket.fault("object", status=403)
    with pytest.raises(RuntimeError, match=r"answers with status 403 for .*; check evaluation.archive"):
        get(bucket, tmp_path / "out")
    assert len(files_of(tmp_path / "out")) == 2 and not (tmp_path / "out/Deviant.json").exists()
    bucket.calls.clear()
    get(bucket, tmp_path / "out")
    assert bucket.count("object", "GET") == len(WANTED) - 2


def test_a_file_uploaded_in_pieces_is_held_against_the_manifest(bucket, tmp_path):
    bucket.pieces = set(WANTED)
    manifest = tmp_path / "MANIFEST.sha256"
    lines = [f"{hashlib.sha256(bucket.objects[name].read_bytes()).hexdigest()}  {name}" for name in WANTED]
    manifest.write_text("\n".join(lines) + "\n")
    bucket.fault("object", zeros=True)
    assert len(get(bucket, tmp_path / "out", manifest)["files"]) == len(WANTED)
    bucket.fault("object", zeros=True, times=2)
    with pytest.raises(RuntimeError, match="arrived wrong twice: its sha256 is"):
        get(bucket, tmp_path / "again", manifest)
    manifest.write_text("<html>\n")
    with pytest.raises(ValueError, match="line 1: '<html>' is not a sha256 and a path"):
        get(bucket, tmp_path / "out", manifest)


def test_what_cannot_be_had_is_said_in_a_sentence(bucket, tmp_path):
    with pytest.raises(RuntimeError, match="has no monthly file of aimip, aimip-p2k below GROUP/Other/"):
        get(bucket, tmp_path / "out", prefix="GROUP/Other")
    bucket.fault("listing", 404)
    with pytest.raises(RuntimeError, match="answers with status 404; check evaluation.archive"):
        get(bucket, tmp_path / "out")
    bucket.fault("listing", html=True)
    with pytest.raises(RuntimeError, match="does not list its objects as S3 does"):
        get(bucket, tmp_path / "out")
    bucket.fault("listing", 503, times=10_000)
    with pytest.raises(RuntimeError, match=r"status 503; gave up after .* tries"):
        get(bucket, tmp_path / "out")
    assert not Path(tmp_path / "out").exists()
