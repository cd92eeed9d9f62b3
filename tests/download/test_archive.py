"""Models from AIMIP's public archive, against a stand-in for its object store and for its mirror on Hugging Face."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.helpers.cds_stand_in import FOR_EVER, StandIn
from tests.helpers.project import VARIABLES
from workflow.scripts.download.archive import download_archive
from workflow.scripts.download.listing import list_files

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


def get(server, folder, manifest=None, prefix=MODEL, url=None):
    record, url = folder / "Deviant.json", url or server.bucket_url
    experiments = ["aimip", "aimip-p2k"]
    download_archive(record, folder / "Deviant", url, prefix, VARIABLES, experiments, LIMITS, manifest)
    return json.loads(record.read_text())


def sha256(server, name):
    return hashlib.sha256(server.objects[name].read_bytes()).hexdigest()


def is_whole(record, server):
    """Whether each wanted file arrived, and no other, with the bytes that the server has."""
    return {item["key"]: item["sha256"] for item in record["files"]} == {name: sha256(server, name) for name in WANTED}


def write_manifest(server, path, names, **others):
    """A manifest of ``names``; others: other sums for them."""
    lines = [f"{others.get(name) or sha256(server, name)}  {name}" for name in names]
    path.write_text("\n".join(lines) + "\n")
    return path


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
    assert len(list_files(bucket.bucket_url, "GROUP/", LIMITS)) == len(WANTED) + len(OTHERS)  # five pages


@pytest.mark.parametrize("route", ["listing", "object"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}])
def test_a_server_in_trouble_is_waited_for(route, fault, bucket, tmp_path):
    bucket.fault(route, times=2, **fault)
    assert is_whole(get(bucket, tmp_path / "out"), bucket)


@pytest.mark.parametrize("fault", [{"cut": 5000}, {"zeros": True}, {"announce": 9}])
def test_a_damaged_transfer_is_made_good(fault, bucket, tmp_path):
    bucket.fault("object", **fault)
    assert is_whole(get(bucket, tmp_path / "out"), bucket)


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
    manifest = write_manifest(bucket, tmp_path / "MANIFEST.sha256", [*WANTED, *OTHERS])
    bucket.fault("object", zeros=True)
    assert is_whole(get(bucket, tmp_path / "out", manifest), bucket)
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
    bucket.fault("listing", 503, times=FOR_EVER)
    with pytest.raises(RuntimeError, match=r"status 503; gave up after .* tries"):
        get(bucket, tmp_path / "out")
    assert not Path(tmp_path / "out").exists()


@pytest.mark.parametrize("route", ["bucket_url", "dataset_url"])
def test_a_manifest_that_does_not_know_what_is_wanted_is_refused(route, bucket, tmp_path):
    def refused(sentence, names, **others):
        manifest = write_manifest(bucket, tmp_path / "MANIFEST", names, **others)
        with pytest.raises(ValueError, match=sentence):
            get(bucket, tmp_path / "out", manifest, url=getattr(bucket, route))
        assert bucket.count("object") == 0

    refused(rf"has none of the 4 files that are wanted, such as {WANTED[0]}; .* is for {OTHERS[0]}", OTHERS)
    refused(rf"lacks 1 of the 4 files that are wanted, the first {WANTED[2]}", [*WANTED[:2], WANTED[3], *OTHERS])
    (tmp_path / "EMPTY").touch()
    with pytest.raises(ValueError, match="has none of the 4 files that are wanted, .*; it is empty"):
        get(bucket, tmp_path / "out", tmp_path / "EMPTY", url=getattr(bucket, route))


@pytest.mark.parametrize("ending", ["", "/", "/tree/main"])
def test_the_mirror_gives_the_same_files(ending, bucket, tmp_path):
    record = get(bucket, tmp_path / "out", url=bucket.dataset_url + ending)
    assert bucket.count("tree") == 5, "ten entries, the folder's among them, two a page"
    assert is_whole(record, bucket)
    for name in WANTED:
        assert (tmp_path / "out/Deviant" / name[len(MODEL) + 1 :]).read_bytes() == bucket.objects[name].read_bytes()
    bucket.calls.clear()
    get(bucket, tmp_path / "out", url=bucket.dataset_url)
    assert bucket.count("object") == 0, "what is there and has the stated sha256 stays"


def test_a_file_of_the_mirror_is_held_against_the_sum_that_the_mirror_states(bucket, tmp_path):
    bucket.pieces = set(WANTED)  # nothing else would notice
    bucket.fault("object", zeros=True)
    assert is_whole(get(bucket, tmp_path / "out", url=bucket.dataset_url), bucket)
    changed = tmp_path / "out/Deviant" / WANTED[0][len(MODEL) + 1 :]
    changed.write_bytes(bytes(changed.stat().st_size))
    bucket.calls.clear()
    get(bucket, tmp_path / "out", url=bucket.dataset_url)
    assert bucket.count("object", "GET") == 1 and changed.read_bytes() == bucket.objects[WANTED[0]].read_bytes()
    bucket.fault("object", zeros=True, times=2)
    with pytest.raises(RuntimeError, match="arrived wrong twice: its sha256 is"):
        get(bucket, tmp_path / "again", url=bucket.dataset_url)


def test_a_manifest_and_a_mirror_that_disagree_are_refused_before_anything_comes(bucket, tmp_path):
    manifest = write_manifest(bucket, tmp_path / "MANIFEST", WANTED)
    bucket.fault("tree", lie=1, times=FOR_EVER)
    with pytest.raises(ValueError, match=rf"MANIFEST has the sha256 .* for {WANTED[0]}, but .*/mirror states"):
        get(bucket, tmp_path / "out", manifest, url=bucket.dataset_url)
    assert bucket.count("object") == 0


def test_a_small_file_of_the_mirror_has_the_sum_of_the_manifest(bucket, tmp_path):
    bucket.small = set(WANTED)
    bucket.fault("object", zeros=True, times=2)
    with pytest.raises(RuntimeError, match="arrived wrong twice: its sha256 is"):
        get(bucket, tmp_path / "out", write_manifest(bucket, tmp_path / "MANIFEST", WANTED), url=bucket.dataset_url)


def test_a_revision_of_the_mirror_can_be_named(bucket, tmp_path):
    bucket.revision = "refs/pr/1"
    for ending in ("/tree/refs/pr/1", "/tree/refs%2Fpr%2F1"):
        assert len(list_files(bucket.dataset_url + ending, f"{MODEL}/", LIMITS)) == len(WANTED) + len(OTHERS) - 1
    assert is_whole(get(bucket, tmp_path / "out", url=bucket.dataset_url + "/tree/refs/pr/1"), bucket)
    with pytest.raises(
        RuntimeError, match=r"status 404; .* the dataset ai2/mirror has the folder GROUP/Deviant/ at main"
    ):
        get(bucket, tmp_path / "out", url=bucket.dataset_url)


def test_what_the_mirror_cannot_give_is_said_in_a_sentence(bucket, tmp_path):
    def refused(sentence, **options):
        with pytest.raises(RuntimeError, match=sentence):
            get(bucket, tmp_path / "out", **{"url": bucket.dataset_url} | options)

    refused(
        "answers with status 404; check in evaluation.archive whether the dataset ai2/none",
        url=bucket.dataset_url[:-6] + "none",
    )
    refused("whether the dataset ai2/mirror has the folder GROUP/Other/ at main", prefix="GROUP/Other")
    for fault in ({"html": True}, {"status": 401}):
        bucket.fault("tree", **fault)
        refused("as Hugging Face does; check evaluation.archive.url" if "html" in fault else "status 401; check in")
    bucket.fault("tree", 503, times=2)
    assert is_whole(get(bucket, tmp_path / "out", url=bucket.dataset_url), bucket)
