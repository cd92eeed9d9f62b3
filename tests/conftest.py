import shutil
from types import SimpleNamespace

import pytest

from tests.helpers import cds_replies
from tests.helpers.cds_stand_in import KEY, StandIn
from tests.helpers.project import ROOT, snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The test config run to its end in a copy of the project: folders ``project`` and ``run``, to be left alone.

    Their path has a space in it, as those of many users have.
    """
    folder = tmp_path_factory.mktemp("monthly diffusion")
    for name in ("workflow", "config", "model", "envs"):
        shutil.copytree(ROOT / name, folder / "project" / name)
    shutil.copy2(ROOT / "Snakefile", folder / "project")
    run = SimpleNamespace(folder=folder, project=folder / "project", run=folder / "run")
    snakemake(run.run, "all", overlay=run.project / "config/test.yaml", project=run.project)
    return run


@pytest.fixture(scope="session")
def replies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replies")
    cds_replies.write_single_levels(folder / "single", 1979)
    cds_replies.write_pressure_levels(folder / "pressure", 1979)
    cds_replies.write_static(folder / "static")
    cds_replies.write_forcing(folder / "forcing.nc")
    return folder


@pytest.fixture
def stand_in(replies, monkeypatch):
    def answer(collection, request):
        if "land_sea_mask" in request["variable"]:
            return replies / "static"
        return replies / ("pressure" if "pressure" in collection else "single")

    with StandIn(answer) as server:
        monkeypatch.setenv("CDSAPI_URL", server.url)
        monkeypatch.setenv("CDSAPI_KEY", KEY)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield server
