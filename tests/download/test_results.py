"""The results of AIMIP's authors from a stand-in of Zenodo: one file of a large archive, and no other path of it."""

import hashlib
import json
import zipfile

import pytest

from tests.helpers.aimip_results import MEMBER, write_tar, write_zip
from tests.helpers.cds_stand_in import FOR_EVER, StandIn
from tests.helpers.project import left_over
from workflow.scripts.download.results import download_results

LIMITS = {"first_wait": 0.01, "outage": 0.0003}
CONTENT = bytes(range(256)) * 200
FILES = {
    "repro/README.md": b"what it is",
    f"repro/{MEMBER}": CONTENT,
    "repro/evaluations/notebooks/cached/rmsb_2.8deg.nc": b"another grid",
    "repro/old/rmsb_1deg.nc": b"another folder",
}


def get(folder, origin):
    download_results(folder / "rmsb_1deg.nc", folder / "record.json", str(origin), LIMITS)
    assert left_over(folder) == ["record.json", "rmsb_1deg.nc"]
    return (folder / "rmsb_1deg.nc").read_bytes(), json.loads((folder / "record.json").read_text())


def sums(path):
    content = path.read_bytes()
    return {"size": len(content), **{kind: hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha256")}}


@pytest.mark.parametrize("fault", [None, {"cut": 100}, {"status": 503}, {"zeros": True}])
def test_the_one_file_comes_out_of_the_only_archive_of_the_record(fault, tmp_path):
    archive = write_tar(tmp_path / "aimip.tar.gz", FILES)
    (tmp_path / "notes.pdf").write_bytes(b"beside it")
    with StandIn(files=[tmp_path / "notes.pdf", archive]) as server:
        if fault:
            server.fault("file", **fault)
        content, record = get(tmp_path / "out", server.record_url)
        assert record["record"] == server.record_url and record["address"].endswith("aimip.tar.gz")
    assert content == CONTENT and sums(archive).items() <= record.items()
    assert record["member"] == MEMBER and record["member_sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert record["time"].endswith("+00:00")


@pytest.mark.parametrize("write, name", [(write_tar, "a.tar.gz"), (write_zip, "a.zip"), (write_tar, "a.download")])
def test_an_archive_on_disk_serves_as_well(write, name, tmp_path):
    archive = write(tmp_path / name, FILES)
    content, record = get(tmp_path / "out", archive)
    assert content == CONTENT and record["address"] == str(archive) and sums(archive).items() <= record.items()
    assert archive.exists()


def test_a_record_that_does_not_say_which_archive_is_refused(tmp_path):
    tar, other = write_tar(tmp_path / "a.tar.gz", FILES), write_zip(tmp_path / "b.zip", FILES)
    (tmp_path / "notes.pdf").write_bytes(b"no archive")
    for files, sentence in (
        ([tar, other], r"has 2 archives .* files are a.tar.gz, b.zip: check evaluation.archive.results"),
        ([], r"has 0 archives .* files are none: check evaluation.archive.results"),
    ):
        with StandIn(files=files) as server, pytest.raises(RuntimeError, match=sentence):
            get(tmp_path / "out", server.record_url)
    with (
        StandIn(files=[tmp_path / "notes.pdf"]) as server,
        pytest.raises(ValueError, match="neither a tar .* nor a ZIP"),
    ):
        get(tmp_path / "out", server.record_url)
    with StandIn(files=[tar]) as server:
        with pytest.raises(RuntimeError, match="status 404 for its archive; check evaluation.archive.results$"):
            get(tmp_path / "out", server.record_url.replace("zenodo", "nowhere"))
        server.checksum = "md5:" + "0" * 32
        with pytest.raises(RuntimeError, match="arrived wrong twice: its md5 is .*; check evaluation.archive.results$"):
            get(tmp_path / "out", server.record_url)
        server.fault("record", 503, times=FOR_EVER)
        with pytest.raises(RuntimeError, match="status 503; gave up"):
            get(tmp_path / "out", server.record_url)
    assert left_over(tmp_path / "out") == []


HOSTILE = {
    "a path that leads out": ({f"../../{MEMBER}": CONTENT}, {}, r"leads out of the archive: nothing of it is used"),
    "a path from the root": ({f"/etc/{MEMBER}": CONTENT}, {}, "leads out of the archive"),
    "a link": ({}, {f"repro/{MEMBER}": "/etc/passwd"}, "is a link or leads out"),
    "several": ({**FILES, f"copy/{MEMBER}": b"x"}, {}, "has 2 files evaluations/.* where one is wanted"),
    "none": ({"repro/evaluations/rmsb_1deg.nc": CONTENT}, {}, "has 0 files evaluations/.* where one is wanted"),
}


@pytest.mark.parametrize("files, links, sentence", HOSTILE.values(), ids=HOSTILE)
def test_an_archive_with_another_intention_leaves_nothing(files, links, sentence, tmp_path):
    (tmp_path / "in").mkdir()
    archive = write_tar(tmp_path / "in/a.tar.gz", files, links)
    with pytest.raises(ValueError, match=sentence):
        get(tmp_path / "a/b/out", archive)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_a_link_in_a_zip_is_one_too(tmp_path):
    link = zipfile.ZipInfo(f"repro/{MEMBER}")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="is a link"):
        get(tmp_path / "out", tmp_path / "a.zip")


def test_an_archive_that_lost_its_end_is_damaged(tmp_path):
    archive = write_tar(tmp_path / "a.tar.gz", FILES)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a.tar.gz is damaged .*; get it again"):
        get(tmp_path / "out", archive)
    archive.write_bytes(whole[:-8] + bytes(8))  # the sum of the content, at the end of gzip's format
    with pytest.raises(ValueError, match=r"a.tar.gz is damaged .*; get it again"):
        get(tmp_path / "out", archive)
    with pytest.raises(FileNotFoundError, match="is not there; check evaluation.archive.results"):
        get(tmp_path / "out", tmp_path / "none.tar.gz")
    assert left_over(tmp_path / "out") == []
