"""Failures whose cure lies on this side: they end at once in the sentence that names it, and no request is lost."""

import pwd
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from tests.helpers.cds_faults import covers
from tests.helpers.cds_stand_in import KEY
from tests.helpers.downloads import LIMITS, get
from tests.helpers.project import left_over
from workflow.scripts.download import cds
from workflow.scripts.download.backoff import Backoff
from workflow.scripts.download.failures import is_transient, permanent_failure
from workflow.scripts.download.listing import list_files
from workflow.scripts.download.zenodo import fetch_from_record

# The client warns where it cannot read the service's messages; the tests are on what we say.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:ecmwf")


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    """A wait is a failure here."""

    def wait(self, kind, sentence):
        pytest.fail(f"waited for {kind}: {sentence}")

    monkeypatch.setattr(Backoff, "wait", wait)


@pytest.fixture
def write_key(tmp_path, monkeypatch):
    """Write the file of the key, which nothing in the environment overrules."""

    def write(text):
        (tmp_path / "cdsapirc").write_text(text)
        monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "cdsapirc"))
        monkeypatch.delenv("CDSAPI_URL", raising=False)
        monkeypatch.delenv("CDSAPI_KEY", raising=False)

    return write


@pytest.fixture
def serve():
    """Start a server of one handler on loopback, with a TLS context if one is given; returns its port."""
    servers = []

    def start(handler, context=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fetch_all(url, folder):
    """The sentences with which each kind of download from ``url`` ends."""
    sentences = []
    for ask in (
        lambda: get(folder),
        lambda: fetch_from_record(url, "forcing.nc", folder / "forcing.nc", LIMITS),
        lambda: list_files(url, "GROUP/", LIMITS),
    ):
        with pytest.raises(RuntimeError) as caught:
            ask()
        sentences.append(str(caught.value))
        assert "\n" not in sentences[-1] and KEY not in sentences[-1]
    assert left_over(folder) == []
    return sentences


@covers("quotes")
@pytest.mark.parametrize(("before", "after"), [('"', '"'), ("'", "'"), (" \u201c", "\u201d "), ('"  ', '/"')])
def test_quotes_in_the_file_of_the_key_are_none_of_the_address_nor_the_key(
    before, after, stand_in, write_key, tmp_path
):
    write_key(f"url: {before}{stand_in.url}{after}\nkey: {before}{KEY}{after.replace('/', '')}\n")
    assert get(tmp_path / "out").is_file()
    assert len(stand_in.requests) == 1


@covers("address")
@pytest.mark.parametrize(
    "url", ["cds.climate.copernicus.eu/api", "https://", "htps://127.0.0.1/api", "https://[::1", "https://a b/api"]
)
def test_an_address_that_is_none_is_refused_before_any_call(url, write_key, tmp_path):
    write_key(f"url: {url}\nkey: {KEY}\n")
    (tmp_path / "out").mkdir()
    sentence, record, archive = fetch_all(url, tmp_path / "out")
    assert sentence == f"'{url}' is no address that can be called; {cds.ADDRESS_HELP}"
    assert record.startswith(f"'{url}' is no address that can be called (")
    assert record.endswith("check download.forcing_record, and download.forcing_sha256 where one is pinned")
    assert archive.startswith(f"'{url}' is no") and archive.endswith("; check evaluation.archive")


@covers("address")
def test_a_name_that_no_host_can_have_is_no_address_either(write_key, tmp_path):
    write_key(f"url: https://a..b/api\nkey: {KEY}\n")
    (tmp_path / "out").mkdir()
    for sentence in fetch_all("https://a..b/api", tmp_path / "out"):
        assert "'https://a..b/api' is no address that can be called (" in sentence


@covers("key")
@pytest.mark.parametrize("key", ["12345678-1234 # mine", "k\u00e9y"])
def test_a_key_that_no_call_can_carry_is_refused_before_any(key, write_key, tmp_path):
    write_key(f"url: https://127.0.0.1:9/api\nkey: {key}\n")
    with pytest.raises(RuntimeError, match="holds a space or a sign that no key has; get a key at https://"):
        get(tmp_path / "out")


@covers("key")
def test_a_file_of_the_key_that_cannot_be_understood_is_not_called_missing(write_key, tmp_path):
    write_key(f"url: https://127.0.0.1:9/api\nkey: {KEY}\nverify: never\n")
    with pytest.raises(RuntimeError, match=r"is not readable \(invalid literal for int.*'never'\); get a key"):
        get(tmp_path / "out")


@covers("key")
def test_a_user_without_a_home_has_no_key(monkeypatch):
    def nobody(_):
        raise KeyError("getpwuid(): uid not found")

    for name in ("CDSAPI_RC", "CDSAPI_URL", "CDSAPI_KEY", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(RuntimeError, match="^no key for the Climate Data Store; get a key at https://"):
        cds.credentials()


def test_a_file_of_the_key_may_switch_certificates_off(write_key):
    write_key(f"url: https://127.0.0.1:9/api\nkey: {KEY}\nverify: 0\n")
    url, key, verify = cds.credentials()
    assert cds.Job(url, key, verify, "", {}, None, 1).options["verify"] is False


class Silent(BaseHTTPRequestHandler):
    """A server that nobody should reach."""

    def log_message(self, *_):
        pass


@pytest.fixture
def distrusted(serve, tmp_path):
    """Address of a server whose certificate nobody has signed."""
    names = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    try:
        subprocess.run([*command, "-keyout", names[0], "-out", names[1]], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(names[1], names[0])
    return f"https://127.0.0.1:{serve(Silent, context)}/api"


@covers("trust")
def test_a_certificate_that_is_not_trusted_is_not_waited_for(distrusted, write_key, tmp_path):
    write_key(f"url: {distrusted}\nkey: {KEY}\n")
    (tmp_path / "out").mkdir()
    for sentence in fetch_all(distrusted, tmp_path / "out"):
        assert f"no secure connection to {distrusted} (" in sentence and "certificate verify failed" in sentence
        assert "REQUESTS_CA_BUNDLE" in sentence


@covers("trust")
def test_certificates_that_are_not_there_are_not_waited_for(distrusted, write_key, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    write_key(f"url: {distrusted}\nkey: {KEY}\n")
    (tmp_path / "out").mkdir()
    for sentence in fetch_all(distrusted, tmp_path / "out"):
        assert "none.pem" in sentence and "environment variable REQUESTS_CA_BUNDLE" in sentence


@covers("trust")
@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        (407, "asks for a user and a password; correct the environment variables http_proxy, https_proxy"),
        (403, "refuses the connection with status 403; correct the environment variables http_proxy, https_proxy"),
        ('"http://127.0.0.1:9"', "is set with quotes or spaces, which belong to no address; correct"),
        ("socks5://127.0.0.1:9", "or for SOCKS install the package pysocks"),
        ("gopher://127.0.0.1:9", "is set wrongly (Proxy URL had unsupported scheme gopher"),
    ],
)
def test_a_proxy_that_will_not_let_through_is_not_waited_for(proxy, words, serve, write_key, tmp_path, monkeypatch):
    class Refusing(Silent):
        def do_CONNECT(self):
            self.send_error(proxy)

    url = "https://cds.test/api"
    address = proxy if isinstance(proxy, str) else f"http://127.0.0.1:{serve(Refusing)}"
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", address)
    write_key(f"url: {url}\nkey: {KEY}\n")
    (tmp_path / "out").mkdir()
    for sentence in fetch_all(url, tmp_path / "out"):
        assert f"the proxy to {url}" in sentence and words in sentence


def test_failures_of_the_same_kinds_that_may_pass_are_left_to_retries():
    for error in (
        requests.exceptions.SSLError("EOF occurred in violation of protocol (_ssl.c:1000)"),
        requests.exceptions.SSLError("The handshake operation timed out"),
        requests.exceptions.ProxyError("Unable to connect to proxy (OSError('Tunnel connection failed: 503 Busy'))"),
        requests.exceptions.ProxyError("Cannot connect to proxy. (Connection refused)"),
        requests.exceptions.ConnectionError("Name or service not known"),
        requests.exceptions.ReadTimeout("timed out"),
    ):
        assert permanent_failure(error, "https://cds.test/api", "check it") is None
        assert cds.judge(error, "https://cds.test/api")[0] == cds.BROKEN


def test_a_busy_or_broken_server_is_asked_again_and_one_that_refuses_is_not():
    assert all(map(is_transient, (0, 408, 429, 500, 501, 502, 503, 504, 520)))
    assert not any(map(is_transient, (400, 401, 403, 404, 407, 410)))


@covers("trust")
def test_a_certificate_that_goes_bad_loses_no_request(stand_in, tmp_path, monkeypatch):
    def distrusts(self, target):
        raise requests.exceptions.SSLError("certificate verify failed: certificate has expired")

    with monkeypatch.context() as patch:
        patch.setattr(cds.Job, "download", distrusts)
        with pytest.raises(RuntimeError, match="certificate has expired.*check the clock"):
            get(tmp_path)
    assert get(tmp_path).is_file()
    assert len(stand_in.requests) == 1, "the request was queued a second time"


def test_the_program_asked_before_a_run_says_it_too(write_key, tmp_path):
    write_key(f"url: cds.climate.copernicus.eu/api\nkey: {KEY}\n")
    command = [sys.executable, "-m", "workflow.scripts.download.cds"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"cds: 'cds.climate.copernicus.eu/api' is no address that can be called; {cds.ADDRESS_HELP}\n"
