"""Requests to the Copernicus Climate Data Store through its own client, cdsapi, with an end to every wait.

The client alone tries a dead server for 16 hours and does not try again at all when the queue is full. Here one request
is submitted once, its id is kept in a small file so that a later run finds the job instead of queueing another, and
each failure is judged: busy and broken are waited out, up to limits from the config; what waiting cannot mend ends at
once with one sentence that says what to do.
"""

import calendar
import hashlib
import json
import logging
import re
import sys
import time
from pathlib import Path

import cdsapi
import requests
from cdsapi.api import get_url_key_verify
from ecmwf.datastores.processing import DownloadError, LinkError, ProcessingFailedError

from workflow.scripts.common.addresses import is_web_address
from workflow.scripts.common.faults import explained
from workflow.scripts.download.backoff import Backoff
from workflow.scripts.download.failures import TRANSIENT, permanent_failure
from workflow.scripts.inputs.era5 import END_OF_HOUR, Unreadable

COLLECTIONS = {
    ("single-levels", "monthly"): "reanalysis-era5-single-levels-monthly-means",
    ("pressure-levels", "monthly"): "reanalysis-era5-pressure-levels-monthly-means",
    ("static", "monthly"): "reanalysis-era5-single-levels-monthly-means",
    ("single-levels", "hourly"): "reanalysis-era5-single-levels",
    ("pressure-levels", "hourly"): "reanalysis-era5-pressure-levels",
}
STATIC_MONTH = "1979-01"  # static fields are the same in every month; one is asked
KEY_HELP = (
    "get a key at https://cds.climate.copernicus.eu/how-to-api and write it to ~/.cdsapirc or to the environment "
    "variables CDSAPI_URL and CDSAPI_KEY"
)
ADDRESS_HELP = (
    "write that of the Climate Data Store, https://cds.climate.copernicus.eu/api, to ~/.cdsapirc or CDSAPI_URL"
)
QUEUE_FULL = ("number queued requests", "temporarily limited")
# Failures to wait out: too many calls; a job rejected for a full queue; no answer; a reply breaks off; a forgotten job.
BUSY, FULL, BROKEN, TRANSFER, GONE = "busy", "full", "broken", "transfer", "gone"
QUICK_TRIES = 3  # tries of one call inside the client, which also resume a broken transfer
QUOTES = " \t\r\n\"'\u201c\u201d\u2018\u2019"  # that cdsapi takes for a part of what they enclose
TIMEOUT = 60  # seconds without a byte after which a call counts as broken
LONGEST_POLL = 60.0  # seconds between two looks at a queued job


class _Gone(Exception):
    """The job is no longer known to the server: submit it anew."""


def requests_for(dataset, rows, months, product="monthly", data_format="netcdf"):
    """The requests that deliver ``rows`` (Variables of ``dataset``) for ``months`` ("YYYY-MM" of one year).

    A list of (collection, request). ``data_format``: netcdf or grib. Monthly means take one request; hourly ones take
    one per month and variable, which stays below the limit of the CDS, and the hour that ends the last month.
    """
    if (dataset, product) not in COLLECTIONS:
        raise ValueError(
            f"the CDS has no {product} {dataset} that this workflow reads; set download.product to monthly"
        )
    collection = COLLECTIONS[dataset, product]
    names = list(dict.fromkeys(row.cds_name for row in rows))
    levels = [str(level) for level in sorted({row.level for row in rows if row.level is not None}, reverse=True)]
    shared = {"data_format": data_format, "download_format": "unarchived"}
    shared |= {"pressure_level": levels} if levels else {}
    year = months[0][:4]
    if product == "monthly":
        asked = {"variable": names, "year": [year], "month": [month[5:] for month in months], "time": ["00:00"]}
        return [(collection, {"product_type": ["monthly_averaged_reanalysis"]} | asked | shared)]
    shared["product_type"] = ["reanalysis"]
    hours = [f"{hour:02d}:00" for hour in range(24)]
    wanted = []
    for month in months:
        days = [f"{day + 1:02d}" for day in range(calendar.monthrange(int(year), int(month[5:]))[1])]
        when = {"year": [year], "month": [month[5:]], "day": days, "time": hours}
        wanted += [(collection, {"variable": [name]} | when | shared) for name in names]
    ended = [row.cds_name for row in rows if row.short_name in END_OF_HOUR]
    if ended:
        number = int(year) * 12 + int(months[-1][5:])  # months since year 0 of the month after the last
        following = {"year": [str(number // 12)], "month": [f"{number % 12 + 1:02d}"], "day": ["01"], "time": ["00:00"]}
        wanted.append((collection, {"variable": ended} | following | shared))
    return wanted


def retrieve(collection, request, target, check, limits, job_file):
    """Deliver one reply of the CDS to ``target``, checked; returns the id of the request.

    ``check(target)`` raises Unreadable for a damaged file, which is fetched once more, or ValueError for wrong content.
    ``limits``: dict with ``first_wait`` (s), ``patience`` (hours for a full queue), ``outage`` (hours for a server that
    does not answer). ``job_file``: where the id of the queued job is kept meanwhile. Raises RuntimeError or ValueError
    with one sentence; nothing good is then at ``target``.
    """
    url, key, verify = credentials()
    outage = dict.fromkeys((BROKEN, TRANSFER, GONE), limits["outage"])
    backoff = Backoff(limits["first_wait"], dict.fromkeys((BUSY, FULL), limits["patience"]) | outage)
    job = Job(url, key, verify, collection, request, Path(job_file), limits["first_wait"])
    for attempt in (1, 2):
        _deliver(job, target, backoff, url)
        try:
            check(target)
            break
        except ValueError as error:
            if attempt == 2 or not isinstance(error, Unreadable):
                job.forget()  # the next run must not fetch the same wrong reply
                raise
            logging.warning("%s; fetching it again", error)
    identity = job.remote.request_id
    job.forget()
    return identity


def _deliver(job, target, backoff, url):
    """Bring ``job`` to its end and its reply to ``target``, waiting out what waiting can mend."""
    while True:
        step = BROKEN
        try:
            job.submit(backoff)
            job.wait(backoff)
            step = TRANSFER
            job.download(target)
            return
        except _Gone:
            job.forget()
            backoff.wait(GONE, f"{job.collection}: {url} no longer knows the request")
        except Exception as error:  # the client raises many kinds, bare Exception among them; judge() sorts them all
            fault = explained(error, target)
            if fault is not None:
                raise fault from error
            kind, sentence = judge(error, url)
            # What lacks on this side leaves the job, to be found again once it is mended.
            if kind == FULL or (kind is None and permanent_failure(error, url, ADDRESS_HELP) is None):
                job.forget()
            if kind is None:
                raise RuntimeError(f"{job.collection}: {sentence}") from error
            backoff.wait(step if kind == BROKEN else kind, f"{job.collection}: {sentence}")


class Job:
    """One request on its way: queued, found again after an interruption, waited for, downloaded."""

    def __init__(self, url, key, verify, collection, request, file, first_wait):
        self.options = {"url": url, "key": key, "verify": verify, "timeout": TIMEOUT}
        self.options |= {"retry_max": QUICK_TRIES, "sleep_max": min(first_wait, LONGEST_POLL)}
        self.collection, self.request, self.file, self.first_wait = collection, request, file, first_wait
        text = json.dumps([url, collection, request], sort_keys=True)
        self.mark = hashlib.sha256(text.encode()).hexdigest()
        self.client = self.remote = None

    def submit(self, backoff):
        """Have a queued job: the one at hand, the one an earlier run left, or a new one."""
        if self.remote is not None:
            return
        if self.client is None:
            # The client prints the key among its debugging messages; those go nowhere.
            callbacks = {f"{level}_callback": getattr(logging, level) for level in ("info", "warning", "error")}
            callbacks["debug_callback"] = lambda *_: None
            self.client = cdsapi.Client(**self.options, progress=False, wait_until_complete=False, **callbacks)
        if self.file.exists():
            identity, _, mark = self.file.read_text(encoding="utf-8").partition(" ")
            if mark.strip() == self.mark:
                logging.info("found the queued request %s of an earlier run", identity)
                self.remote = self._known(lambda: self.client.client.get_remote(identity))
        if self.remote is None:
            self.remote = self.client.retrieve(self.collection, self.request)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(f"{self.remote.request_id} {self.mark}\n", encoding="utf-8")
        backoff.success(BROKEN)

    def wait(self, backoff):
        """Return when the job is done, however long it is queued; raises what the server says if it never will be."""
        pause = min(1.0, self.first_wait)
        while not self._known(lambda: self.remote.results_ready):
            backoff.success(BROKEN)
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL)

    def download(self, target):
        """Fetch the reply to ``target``."""
        self._known(lambda: self.remote.get_results()).download(str(target))

    def forget(self):
        """Let go of the job, so that the next ``submit`` makes a new one."""
        self.remote = None
        self.file.unlink(missing_ok=True)

    def _known(self, call):
        try:
            return call()
        except requests.HTTPError as error:
            if error.response is not None and error.response.status_code in (404, 410):
                raise _Gone from error
            raise


def judge(error, url):
    """What to do about a failure: (BUSY, FULL or BROKEN to wait, None to stop; the sentence that says why)."""
    text = " ".join(str(error).split())
    sentence = permanent_failure(error, url, ADDRESS_HELP)
    if sentence is not None:
        return None, sentence
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _judge_status(error.response.status_code, text, url)
    if isinstance(error, requests.exceptions.ProxyError):
        return BROKEN, f"the proxy to {url} does not answer ({text}); check http_proxy and no_proxy"
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return BROKEN, f"{url} answers with something that is not the CDS API; check CDSAPI_URL or wait for the service"
    if isinstance(error, requests.exceptions.RequestException):
        return BROKEN, f"no connection to {url} ({type(error).__name__}: {text[:200]})"
    if isinstance(error, DownloadError | AssertionError):
        return BROKEN, f"the download from {url} broke off ({text})"
    if isinstance(error, ProcessingFailedError):
        return None, f"the CDS ended the job ({text}); if you deleted it on the website, run again to submit it anew"
    if isinstance(error, LinkError | KeyError):
        return None, f"the CDS answered in a form that this client does not know ({text}); update cdsapi"
    if isinstance(error, OSError):
        return None, f"the reply cannot be stored ({text}); check the disk"
    return None, f"the CDS client failed ({type(error).__name__}: {text})"


def _judge_status(code, text, url):
    reason = re.sub(r"^\d+ Client Error: .*? for url: \S+ ?", "", text)
    if any(words in text.lower() for words in QUEUE_FULL):
        return FULL, f"the queue of the CDS is full for this user ({reason})"
    if code in TRANSIENT:  # no other 5xx: with 501 the CDS says that it cannot do what is asked
        return BUSY if code == 429 else BROKEN, f"{url} answers with status {code}"
    if code == 401:
        return None, f"the CDS refused the key ({reason}); {KEY_HELP}"
    if code == 403 and "licence" in text.lower():
        page = re.search(r"https?://\S+", reason)
        where = page[0].rstrip(".,;)") if page else "https://cds.climate.copernicus.eu, tab Download of the dataset"
        return None, f"a licence of the dataset is not accepted yet; log in, accept it at {where} and run again"
    if code == 403 and ("cost limits" in text.lower() or "too large" in text.lower()):
        cure = "ask for fewer levels or variables at a time, or, where download.format is netcdf, for grib"
        return None, f"the CDS finds the request too large ({reason}); {cure}"
    if code == 404:
        return None, f"{url} does not know what was asked ({reason}); CDSAPI_URL has to end in /api, without a slash"
    return (
        None,
        f"the CDS refused the request with status {code} ({reason}); correct config/variables.csv or the config",
    )


def credentials():
    """(url, key, whether certificates are verified) as cdsapi finds them, without quotes that were put round them.

    Raises RuntimeError with one sentence if they are missing, of the old kind, or none at all.
    """
    try:
        url, key, verify = get_url_key_verify(None, None, None)
    except (OSError, ValueError) as error:
        raise RuntimeError(
            f"the file of the key for the Climate Data Store is not readable ({error}); {KEY_HELP}"
        ) from error
    except Exception as error:  # cdsapi raises the bare class
        raise RuntimeError(f"no key for the Climate Data Store; {KEY_HELP}") from error
    url, key = (text.strip(QUOTES) for text in (url, key))
    if not key or ":" in key:
        raise RuntimeError(f"the key for the Climate Data Store is {'of the old kind' if key else 'empty'}; {KEY_HELP}")
    if not re.fullmatch(r"[!-~]+", key):
        raise RuntimeError(f"the key for the Climate Data Store holds a space or a sign that no key has; {KEY_HELP}")
    if not is_web_address(url):
        raise RuntimeError(f"'{url}' is no address that can be called; {ADDRESS_HELP}")
    return url.rstrip("/"), key, verify


if __name__ == "__main__":  # asked before a long run, which would stop at its first request
    try:
        credentials()
    except RuntimeError as error:
        sys.exit(f"cds: {error}")
