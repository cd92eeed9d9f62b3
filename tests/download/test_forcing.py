"""The AIMIP forcing from its record at a stand-in of Zenodo."""

import filecmp
import json

import pytest

from tests.helpers.cds_faults import covers
from tests.helpers.cds_stand_in import FOR_EVER, StandIn
from tests.helpers.downloads import LIMITS, VARIABLES
from tests.helpers.project import left_over
from workflow.scripts.download.forcing import download_forcing

FORCING = {"source": "cds", "forcing_file": "forcing.nc", "forcing_sha256": None}


def get_forcing(folder, server, settings=FORCING, period=("1978-10", "1981-12")):
    output = folder / "forcing.nc"
    settings = settings | {"forcing_record": server.record_url}
    download_forcing(output, folder / "forcing.json", VARIABLES, period, settings, LIMITS)
    return output


@covers("zenodo")
@pytest.mark.parametrize(
    "fault", [None, {"cut": 5000}, {"status": 503}, {"reset": True}, {"zeros": True}, {"announce": 9}]
)
def test_the_forcing_comes_from_its_record_with_the_checksum_stated_there(fault, replies, tmp_path):
    with StandIn(files=[replies / "forcing.nc"]) as server:
        if fault:
            server.fault("file", **fault)
        output = get_forcing(tmp_path, server)
        assert filecmp.cmp(output, replies / "forcing.nc", shallow=False)
        record = json.loads((tmp_path / "forcing.json").read_text())
        assert record["record_checksum"].startswith("md5:") and len(record["sha256"]) == 64
        assert left_over(tmp_path) == ["forcing.json", "forcing.nc"]


@covers("zenodo wrong")
def test_a_forcing_file_that_is_not_the_stated_one_is_refused(replies, tmp_path):
    with StandIn(files=[replies / "forcing.nc", replies / "static"]) as server:
        with pytest.raises(RuntimeError, match="arrived wrong twice: its sha256 is"):
            get_forcing(tmp_path, server, FORCING | {"forcing_sha256": "0" * 64})
        with pytest.raises(RuntimeError, match="has no file other.nc; it has forcing.nc, static"):
            get_forcing(tmp_path, server, FORCING | {"forcing_file": "other.nc"})
        with pytest.raises(ValueError, match="not the AIMIP forcing file"):
            get_forcing(tmp_path, server, FORCING | {"forcing_file": "static"})
        with pytest.raises(ValueError, match="1982-02 is missing"):
            get_forcing(tmp_path, server, period=("1978-10", "1982-01"))
        server.fault("file", 503, times=FOR_EVER)
        with pytest.raises(RuntimeError, match="status 503; gave up"):
            get_forcing(tmp_path, server)
        server.checksum = "md5:" + "0" * 32
        server.faults.clear()
        with pytest.raises(RuntimeError, match="its md5 is"):
            get_forcing(tmp_path, server)
    assert left_over(tmp_path) == []
