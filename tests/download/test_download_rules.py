"""The workflow's own download rules, run by Snakemake against the stand-in: faults, killed runs, a centre's files."""

import filecmp
import json
import os
import re
import signal
import time
from collections import Counter

import pytest
import yaml

from tests.download import test_download, test_failures, test_forcing, test_machine  # noqa: F401 (they cover rows too)
from tests.helpers import cds_replies
from tests.helpers.cds_faults import COVERED, FATAL, RECOVERED, ROWS, WRONG, covers
from tests.helpers.pages import rows, section
from tests.helpers.project import ROOT, launch, left_over, snakemake


def write_overlay(folder, periods=None, source="cds", local=None, **download):
    """A config in ``folder`` with the CDS as the source, coarse and impatient."""
    config = yaml.safe_load((ROOT / "config/test.yaml").read_text())
    config["submission"] |= {"contact": "the stand-in's user, user@stand-in"}
    config |= {"source": source, "periods": config["periods"] | (periods or {}), "local": local or {}}
    config["download"] = {"resolution": 15, "first_wait": 0.1, "outage": 3 / 3600, "patience": 0.01} | download
    (folder / "overlay.yaml").write_text(yaml.safe_dump(config))


def run_rules(folder, *arguments, check=True, **settings):
    """Run the workflow's own download rules in ``folder``, with the config of ``write_overlay``."""
    write_overlay(folder, **settings)
    return snakemake(folder, *arguments, overlay=folder / "overlay.yaml", check=check)


def test_the_rules_download_through_the_real_client_and_never_crowd_the_queue(stand_in, replies, tmp_path):
    # Made beforehand: the server answers in several threads, which the netCDF library does not bear.
    for year in (1978, 1979, 1980):
        months = range(10 if year == 1978 else 1, 13)
        cds_replies.write_single_levels(tmp_path / f"reply{year}", year, months)

    def answer(collection, request):
        return replies / "static" if "land_sea_mask" in request["variable"] else tmp_path / f"reply{request['year'][0]}"

    stand_in.answer = answer
    stand_in.plan = ["accepted"] * 4 + ["successful"]
    stand_in.fault("submit", 503, times=4)
    stand_in.fault("asset", cut=10_000)
    wanted = [f"results/download/single-levels/{year}.era5" for year in (1978, 1979, 1980)]
    run_rules(tmp_path, "--cores", "4", *wanted, "results/download/static.era5")
    for path in [*wanted, "results/download/static.era5"]:
        assert json.loads((tmp_path / path).with_suffix(".json").read_text())["source"] == "cds"
    assert filecmp.cmp(tmp_path / wanted[1], tmp_path / "reply1979", shallow=False)
    assert [name for name in left_over(tmp_path / "results") if name.startswith(".")] == []
    assert len(stand_in.requests) == 4 and stand_in.most_active == 2
    assert sorted(request["month"] for _, request in stand_in.requests)[-1] == ["10", "11", "12"]  # of 1978


def one_year_each(cases, folder, stand_in):
    """Let each case strike a year of its own; returns {year: case}. Replies are made beforehand, as above."""
    years = dict(enumerate(cases.values(), start=1980))
    for year, case in years.items():
        write = case.write or cds_replies.write_single_levels
        write(folder / f"reply{year}", year)
        case.strike(stand_in, year)
    stand_in.answer = lambda _, request: folder / f"reply{request['year'][0]}"
    cds_replies.write_forcing(folder / "forcing.nc", end="2025-01")
    stand_in.files = {"forcing.nc": folder / "forcing.nc"}
    return years


def chosen(cases):
    """One case of each row."""
    return {case.row: case for case in cases.values()}


def download_years(years, folder, stand_in, check, **settings):
    """Have the workflow download single levels of ``years`` and the forcing in one run; returns what it printed."""
    periods = {"simulation": ["1979-01", "2024-12"]}
    wanted = [f"results/download/single-levels/{year}.era5" for year in years] + ["results/download/forcing.nc"]
    settings |= {"in_flight": 8, "outage": (20 if check else 2) / 3600, "patience": (60 if check else 2) / 3600}
    settings |= {"forcing_record": stand_in.record_url, "forcing_file": "forcing.nc"}
    done = run_rules(folder, "--cores", "4", "--keep-going", *wanted, check=check, periods=periods, **settings)
    return done.stdout + done.stderr


ALL_OR_CHOSEN = ["chosen", pytest.param("all", marks=pytest.mark.slow)]


@pytest.mark.parametrize("which", ALL_OR_CHOSEN)
def test_the_rule_waits_out_what_waiting_mends(which, stand_in, replies, tmp_path):
    cases = RECOVERED if which == "all" else chosen(RECOVERED)
    years = one_year_each(cases, tmp_path, stand_in)
    for fault in ({"cut": 5000}, {"status": 503}, {"zeros": True}):
        stand_in.fault("file", **fault)
    download_years(years, tmp_path, stand_in, check=True)
    folder = tmp_path / "results/download/single-levels"
    assert left_over(folder) == sorted(f"{year}.{ending}" for year in years for ending in ("era5", "json"))
    asked = Counter(int(request["year"][0]) for _, request in stand_in.requests)
    for year, case in years.items():
        assert filecmp.cmp(folder / f"{year}.era5", tmp_path / f"reply{year}", shallow=False)
        assert asked[year] == case.requests, case
    assert filecmp.cmp(folder.parent / "forcing.nc", tmp_path / "forcing.nc", shallow=False)
    record = json.loads((folder.parent / "forcing.json").read_text())
    assert record["record_checksum"].startswith("md5:") and record["size"] == (tmp_path / "forcing.nc").stat().st_size


@pytest.mark.parametrize("which", ALL_OR_CHOSEN)
def test_the_rule_ends_what_waiting_cannot_mend_in_a_sentence(which, stand_in, replies, tmp_path):
    cases = FATAL | WRONG if which == "all" else chosen(FATAL) | chosen(WRONG)
    years = one_year_each(cases, tmp_path, stand_in)
    printed = download_years(years, tmp_path, stand_in, check=False, forcing_sha256="0" * 64)
    assert "arrived wrong twice: its sha256 is" in printed
    for year, case in years.items():
        log = (tmp_path / f"logs/download_era5/single-levels/{year}.log").read_text().splitlines()
        kind, _, sentence = log[-1].partition(": ")
        assert kind.split(".")[-1] in ("RuntimeError", "ValueError", "Unreadable") and re.search(
            case.sentence, sentence
        ), log[-1]
        assert sentence in printed, "the terminal does not say it"
    assert [name for name in left_over(tmp_path / "results") if not name.endswith(".job")] == []


@covers("killed")
def test_a_killed_run_goes_on_with_the_request_that_it_queued(stand_in, replies, tmp_path):
    """SIGKILL of Snakemake and its job while the request is queued; started again as make does, nothing else done."""
    wanted = tmp_path / "results/download/single-levels/1979.era5"
    write_overlay(tmp_path)
    stand_in.plan = ["accepted"]
    run = launch(ROOT, tmp_path, wanted.relative_to(tmp_path), overlay=tmp_path / "overlay.yaml")
    deadline = time.monotonic() + 120
    while not stand_in.count("job") and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    output, _ = run.communicate()
    assert stand_in.count("job") and not wanted.exists(), output
    for job in stand_in.jobs.values():
        job["plan"] = ["successful"]
    run = launch(ROOT, tmp_path, wanted.relative_to(tmp_path), overlay=tmp_path / "overlay.yaml")
    output, _ = run.communicate(timeout=240)
    assert run.returncode == 0, output
    assert filecmp.cmp(wanted, replies / "single", shallow=False)
    assert len(stand_in.requests) == 1, "the request was queued a second time"
    assert left_over(wanted.parent) == ["1979.era5", "1979.json"]


def test_every_row_of_the_table_of_faults_has_a_test_and_the_other_way_round():
    assert [row[0] for row in rows(section("When the download meets trouble"))] == list(ROWS.values())
    assert set(ROWS) == COVERED


def test_a_rule_that_cannot_download_says_so_in_one_sentence(stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "no-such-file"))
    monkeypatch.delenv("CDSAPI_KEY")
    done = run_rules(tmp_path, "--cores", "1", "results/download/static.era5", check=False)
    assert done.returncode != 0
    assert "RuntimeError: no key for the Climate Data Store; get a key at https://" in done.stderr
    assert left_over(tmp_path / "results") == []


@pytest.mark.parametrize(("settings", "named"), [({}, []), ({"format": "netcdf"}, []), ({"format": "grib"}, ["grib"])])
def test_the_format_is_among_what_a_download_depends_on_only_where_it_is_not_the_default(settings, named, tmp_path):
    """A download from before the key existed stays as it is."""
    done = run_rules(tmp_path, "results/download/static.era5", "--dry-run", "--printshellcmds", **settings)
    assert '"product": "monthly"' in done.stdout + done.stderr
    assert re.findall(r'"format": "(\w+)"', done.stdout + done.stderr) == named


def test_the_rule_links_a_centres_file_and_sees_that_it_was_replaced(tmp_path):
    target = "results/download/single-levels/1979.era5"
    (tmp_path / "archive/single-levels").mkdir(parents=True)
    archived = tmp_path / "archive/single-levels/1979.nc"
    cds_replies.write_single_levels(archived, 1979)
    write_overlay(tmp_path, source="local", local={"folder": str(tmp_path / "archive")})
    options = {"overlay": tmp_path / "overlay.yaml"}
    snakemake(tmp_path, target, "--cores", "1", **options)
    assert (tmp_path / target).resolve() == archived
    again = snakemake(tmp_path, target, "--dry-run", **options)
    assert "Nothing to be done" in again.stdout + again.stderr
    cds_replies.write_single_levels(archived, 1979, expver=["0001"] * 11 + ["0005"])
    done = snakemake(tmp_path, target, "--cores", "1", check=False, **options)
    assert "1979-12 is not final ERA5 but expver 0005" in done.stderr
    assert not (tmp_path / target).exists() and archived.exists(), "a link to a file that failed its checks is left"
