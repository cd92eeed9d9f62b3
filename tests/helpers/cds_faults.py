"""What can go wrong between us and the CDS: the table of faults in docs, with the cases that its rows stand for.

A case strikes the stand-in (``case.strike(server, year)``: the requests of that year, or of any for None) or gives it a
wrong reply to send (``case.write(path, year)``), and ends in the right file, or in the ``sentence`` and no file.
"""

import re
from dataclasses import dataclass

import numpy as np

from tests.helpers import cds_replies
from tests.helpers.cds_stand_in import FOR_EVER
from tests.helpers.grib import write_grib
from workflow.scripts.common.variables import read_variables

ROWS = {
    "busy": "429, 408, 500, 502, 503, 504 or a reset at messages, process, submit, poll, results; no answer in a "
    "minute",
    "page": "HTML page in place of the API",
    "transfer": "transfer cut (also again and again) or stalled, 503/404 once on the file, more or fewer bytes sent "
    "than announced",
    "damaged": "bytes damaged in transfer (accepted by the client)",
    "queue": '"Number queued requests ... temporarily limited" (job rejected after 201)',
    "forgotten": "job forgotten by the server (404/410)",
    "killed": "run killed while the job is queued or downloading",
    "machine": "disk full, file system without locks",
    "key": "missing, empty or old key",
    "quotes": "url or key in quotes or among spaces",
    "address": "address that is none: no scheme, no host, a name that no host can have",
    "trust": "certificate not trusted or out of date; proxy that refuses (407) or is set wrongly",
    "refused key": "401",
    "licence": "403 licence",
    "cost": "403 cost limits",
    "request": "400, 404, 501, job failed / rejected / dismissed / unknown state",
    "for ever": "503, reset, poll 503, cut transfer, 403 on the file, wrong size, 404 results for ever; server "
    "not there",
    "content": "reply lacks a month, field, level; other year; NaN; implausible value; ERA5T; other grid; truncated "
    "ZIP or GRIB; damaged HDF5 or GRIB; empty",
    "zenodo": "Zenodo: 503, reset, cut, zeros, wrong length once",
    "zenodo wrong": "Zenodo: checksum of record or pinned sha256 differs, no such file, not the AIMIP file, too "
    "short a period",
}
COVERED = set()  # keys of the rows that have a test

QUEUE_FULL = "Number queued requests for this dataset is temporarily limited. Please configure your scripts accordingly"
LICENCE = "https://cds.climate.copernicus.eu/datasets/reanalysis-era5?tab=download#manage-licences"


def covers(*keys):
    """Decorate a test that proves these rows of the table."""
    COVERED.update(keys)
    return lambda test: test


@dataclass
class Case:
    """One fault: its row, what it does to the server or the reply, how it ends, how many requests are queued."""

    row: str
    strikes: tuple = ()
    write: object = None
    sentence: str | None = None
    requests: int = 1

    def __post_init__(self):
        COVERED.add(self.row)

    def strike(self, server, year=None):
        """Let the server fail so."""
        for arguments, options in self.strikes:
            server.fault(*arguments, year=year, **options)


def hit(*arguments, **options):
    """A fault for ``StandIn.fault``, to be struck later."""
    return arguments, options


RECOVERED = {
    "busy at submit": Case("busy", (hit("submit", 503),)),
    "429 at submit": Case("busy", (hit("submit", 429, detail="Rate limit exceeded. Please wait 1 seconds.", times=5),)),
    "gateway at poll": Case("busy", (hit("job", 502, times=4),)),
    "500 at results": Case("busy", (hit("results", 500),)),
    "429 at poll": Case("busy", (hit("job", 429, times=4),)),
    "reset at submit": Case("busy", (hit("submit", reset=True),)),
    "reset at poll": Case("busy", (hit("job", reset=True, times=4),)),
    "page for maintenance": Case("page", (hit("job", html=True),)),
    "transfer cut": Case("transfer", (hit("asset", cut=20_000),)),
    "transfer cut again and again": Case("transfer", (hit("asset", cut=20_000, times=4),)),
    "more bytes announced than sent": Case("transfer", (hit("asset", announce=10),)),
    "fewer bytes sent than the head announced": Case("transfer", (hit("asset", announce=-10),)),
    "head refused": Case("transfer", (hit("asset", 403, head=True),)),
    "asset 503": Case("transfer", (hit("asset", 503, times=4),)),
    "asset 404 once": Case("transfer", (hit("asset", 404),)),
    "corrupt once": Case("damaged", (hit("asset", zeros=True),)),
    "results forgotten once": Case("forgotten", (hit("results", 404),), requests=2),
    "job gone once": Case("forgotten", (hit("job", 410),), requests=2),
    "queue full twice": Case(
        "queue", (hit("submit", plan=["accepted", "rejected"], why=QUEUE_FULL, times=2),), requests=3
    ),
}

FATAL = {
    "bad key": Case(
        "refused key",
        (hit("submit", 401, title="authentication failed"),),
        sentence=r"refused the key .* get a key at https://",
    ),
    "proxy wants a password": Case(
        "trust",
        (hit("submit", 407),),
        sentence="the proxy to .* asks for a user and a password; correct .* https_proxy",
    ),
    "licence": Case(
        "licence",
        (hit("submit", 403, title="required licences not accepted", detail=f"Please visit {LICENCE} first."),),
        sentence=rf"licence .* accept it at {re.escape(LICENCE)} and run again",
    ),
    "too large": Case(
        "cost",
        (hit("submit", 403, title="cost limits exceeded", detail="too large"),),
        sentence="request too large",
    ),
    "wrong request": Case(
        "request", (hit("submit", 400, title="invalid request", detail="no such month"),), sentence="no such month"
    ),
    "unknown dataset": Case("request", (hit("submit", 404),), sentence="does not know what was asked"),
    "not implemented": Case("request", (hit("submit", 501),), sentence="status 501"),
    "job failed": Case(
        "request",
        (hit("submit", plan=["accepted", "failed"]),),
        sentence="The job has failed MARS returned no data",
    ),
    "job rejected": Case(
        "request", (hit("submit", plan=["rejected"]),), sentence="The job has been rejected MARS returned no data"
    ),
    "job dismissed": Case("request", (hit("submit", plan=["dismissed"]),), sentence="ended the job"),
    "unknown state": Case("request", (hit("submit", plan=["sleeping"]),), sentence="sleeping"),
    "always a page": Case("page", (hit("submit", html=True, times=FOR_EVER),), sentence="check CDSAPI_URL .* gave up"),
    "always busy": Case(
        "for ever", (hit("submit", 503, times=FOR_EVER),), sentence="status 503; gave up after .* run it again"
    ),
    "always reset": Case("for ever", (hit("submit", reset=True, times=FOR_EVER),), sentence="no connection .* gave up"),
    "always broken polls": Case("for ever", (hit("job", 503, times=FOR_EVER),), sentence="status 503; gave up"),
    "results always gone": Case(
        "for ever", (hit("results", 404, times=FOR_EVER),), sentence="no longer knows the request; gave up", requests=99
    ),
    "always cut": Case("for ever", (hit("asset", cut=100, times=FOR_EVER),), sentence="gave up after"),
    "always corrupt": Case(
        "damaged", (hit("asset", zeros=True, times=FOR_EVER),), sentence="not netCDF, GRIB or a ZIP"
    ),
    "asset forbidden": Case(
        "for ever", (hit("asset", 403, times=FOR_EVER),), sentence="download from .* broke off .* gave up"
    ),
    "size is a lie": Case("for ever", (hit("results", lie=5, times=FOR_EVER),), sentence="broke off .* gave up"),
    "queue always full": Case(
        "queue",
        (hit("submit", plan=["rejected"], why=QUEUE_FULL, times=FOR_EVER),),
        sentence="queue of the CDS is full .* gave up",
        requests=99,
    ),
}


def _without_a_field(path, year):
    lat, lon = cds_replies.grid(15)
    times = cds_replies.month_starts(year)
    cds_replies.write_zip(path, {"avgua": ({"t2m": cds_replies.fake("t2m", times, lat, lon)}, times)}, lat, lon)


def _with_value(value):
    def write(path, year):
        lat, lon = cds_replies.grid(15)
        times = cds_replies.month_starts(year)
        names = [row.short_name for row in read_variables(cds_replies.VARIABLES, dataset="single-levels")]
        fields = {name: cds_replies.fake(name, times, lat, lon) for name in names}
        fields["t2m"][4, 3, 2] = value
        cds_replies.write_zip(path, {"avgua": (fields, times)}, lat, lon)

    return write


def _truncated(path, year):
    cds_replies.write_single_levels(path, year)
    path.write_bytes(path.read_bytes()[:-20_000])


def _as_grib(path, year):
    netcdf = path.with_suffix(".netcdf")
    cds_replies.write_single_levels(netcdf, year)
    write_grib(path, netcdf)
    netcdf.unlink()


def _truncated_grib(path, year):
    _as_grib(path, year)
    path.write_bytes(path.read_bytes()[:-100])


def _preliminary(path, year):
    cds_replies.write_single_levels(path, year, expver=["0001"] * 10 + ["0005"] * 2)


def _wrong(write, sentence):
    return Case("content", write=write, sentence=sentence)


WRONG = {
    "a month missing": _wrong(
        lambda path, year: cds_replies.write_single_levels(path, year, range(1, 12)), r"\d{4}-12 is missing"
    ),
    "another year": _wrong(lambda path, year: cds_replies.write_single_levels(path, year + 1), r"\d{4}-01, .* missing"),
    "a field missing": _wrong(_without_a_field, r"'skt' \(skin_temperature\) is not among"),
    "a NaN": _wrong(_with_value(np.nan), r"'t2m' has 1 values that are not finite, the first in \d{4}-05"),
    "degrees Celsius": _wrong(_with_value(15.0), r"'t2m' reaches 15 K in \d{4}-05, beyond the plausible 150"),
    "preliminary": _wrong(_preliminary, r"\d{4}-11 is not final ERA5 but expver 0005"),
    "another grid": _wrong(
        lambda path, year: cds_replies.write_single_levels(path, year, resolution=30),
        "resolution of 30 degrees, not 15",
    ),
    "cut short": _wrong(_truncated, "damaged ZIP"),
    "damaged GRIB": _wrong(lambda path, year: path.write_bytes(b"GRIB" + bytes(100)), "is no readable GRIB file"),
    "GRIB cut short": _wrong(_truncated_grib, "is no readable GRIB file .* download it again"),
    "GRIB of another year": _wrong(lambda path, year: _as_grib(path, year + 1), r"\d{4}-01, .* missing"),
    "empty": _wrong(lambda path, year: path.write_bytes(b""), "is empty, not netCDF"),
}
