"""A stand-in for the Climate Data Store on loopback: enough of its API for the real cdsapi client, faults on demand.

``with StandIn(answer) as cds:`` serves ``answer(collection, request)``, a path, to every job. Faults are queued per
route and taken one per call: ``cds.fault("submit", 503)``, ``cds.fault("asset", cut=1000)``; at the end of the ``with``
one that never struck is an AssertionError. ``cds.calls`` lists what was asked: (method, route, status). Routes:
messages, process, submit, job, results, asset; for Zenodo record, file; for an S3 bucket (``objects`` {key: path})
listing, two keys a page, and object; for Hugging Face, with the same objects, tree, two entries a page, and resolve,
which leads to object.
"""

import hashlib
import json
import math
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

FOR_EVER = math.inf  # times that a fault strikes
KEY = "00000000-0000-0000-0000-000000000000"


class StandIn:
    """The server and what it was told and asked."""

    def __init__(self, answer=None, plan=("accepted", "running", "successful"), files=(), objects=None):
        self.answer, self.plan, self.files = answer, list(plan), {Path(path).name: Path(path) for path in files}
        self.objects = objects or {}
        self.small = set()  # keys of objects that the Hub does not keep apart: it states no SHA-256 of them
        self.revision = "main"  # the one that the dataset repository has
        self.pieces = set()  # keys of objects that were uploaded in pieces: their ETag is no MD5
        self.jobs, self.faults, self.calls, self.requests = {}, {}, [], []
        self.lock = threading.Lock()
        self.checksum = None  # what the Zenodo record states in place of the truth
        self.active = self.most_active = 0
        stand_in = self

        class Handler(_Handler):
            server_of = stand_in

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/api"
        self.bucket_url = f"http://127.0.0.1:{self.server.server_port}/bucket"
        self.dataset_url = f"http://127.0.0.1:{self.server.server_port}/datasets/ai2/mirror"
        self.record_url = f"http://127.0.0.1:{self.server.server_port}/zenodo/records/1"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, raised, *_):
        self.server.shutdown()
        self.server.server_close()
        if raised is None:  # what the test itself says goes before
            unspent = [(route, fault) for route, queue in self.faults.items() for fault in queue if not spent(fault)]
            assert unspent == [], "faults that never struck"

    def fault(self, route, status=None, times=1, year=None, **what):
        """Let the next ``times`` calls of ``route`` fail: with a ``status`` (and title, detail) or ``reset=True``,
        ``html=True``, ``stall=s`` (answer after s seconds). ``year``: of calls for requests of that year only.

        asset: ``cut=n`` (close after n bytes), ``zeros=True``, ``announce=n`` (n bytes more than there are, or less),
        ``head=True`` (the HEAD fails, not the GET). submit: ``plan=[..]`` of the job's states, ``why`` it fails.
        results: ``lie=n`` (bytes that are added to the size).
        """
        fault = {"status": status, "year": year, "times": times, "struck": 0, **what}
        self.faults.setdefault(route, []).append(fault)

    def take(self, route, method, year):
        """The fault that strikes a call, or {}."""
        with self.lock:
            for fault in self.faults.get(route, []):
                ours = route not in ("asset", "file", "object") or (method == "HEAD") == fault.get("head", False)
                if ours and fault["year"] in (None, year) and fault["struck"] < fault["times"]:
                    fault["struck"] += 1
                    return fault
        return {}

    def count(self, route, method=None):
        """How often a route was called."""
        return sum(called == route and method in (None, verb) for verb, called, _ in self.calls)


def spent(fault):
    """Whether a fault struck as often as it should; one that is for ever, at least once."""
    return fault["struck"] >= (1 if fault["times"] == FOR_EVER else fault["times"])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of = None

    def log_message(self, *_):
        pass

    def respond(self):
        cds, path = self.server_of, urlsplit(self.path).path.split("/")[1:]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = self.route_of(path)
        fault = cds.take(route, self.command, self.year_of(route, path, body))
        time.sleep(fault.get("stall", 0))
        if fault.get("reset"):
            cds.calls.append((self.command, route, "reset"))
            self.close_connection = True
            self.connection.close()
        elif fault.get("html"):
            self.send(route, 200, b"<html>maintenance</html>", "text/html")
        elif fault.get("status"):
            self.problem(route, fault["status"], fault.get("title", "fault"), fault.get("detail"))
        elif route in ("asset", "file"):
            self.stream(route, cds.jobs[path[1]]["file"] if route == "asset" else cds.files[path[-1]], fault)
        elif route == "object":
            self.stream(route, cds.objects[unquote("/".join(path[1:]))], fault)
        elif route in ("submit", "job", "results") and self.headers.get("PRIVATE-TOKEN") != KEY:
            self.problem(route, 401, "permission denied", "authentication required")
        else:
            getattr(self, route)(path, body, fault)

    do_GET = do_POST = do_HEAD = do_DELETE = respond

    def route_of(self, path):
        if path[:1] == ["zenodo"]:
            return "record" if path[1] == "records" else "file"
        if path[:1] == ["bucket"]:
            return "object" if path[1:] else "listing"
        if path[:4] == ["api", "datasets", "ai2", "mirror"]:
            return "tree"
        if path[:4] == ["datasets", "ai2", "mirror", "resolve"]:
            return "resolve"
        if path[:1] == ["asset"]:
            return "asset"
        if path[:3] == ["api", "catalogue", "v1"]:
            return "messages"
        if path[:4] == ["api", "retrieve", "v1", "processes"]:
            return "submit" if path[-1] == "execution" else "process"
        if path[:4] == ["api", "retrieve", "v1", "jobs"]:
            return "results" if path[-1] == "results" else "job"
        return "unknown"

    def year_of(self, route, path, body):
        identity = path[1] if route == "asset" else path[4] if route in ("job", "results") else None
        if route == "submit":
            inputs = json.loads(body)["inputs"]
        else:
            inputs = self.server_of.jobs.get(identity, {}).get("inputs", {})
        return int(inputs.get("year", [0])[0])

    def messages(self, path, body, fault):
        self.send("messages", 200, {"messages": []})

    def process(self, path, body, fault):
        if not path[4].startswith("reanalysis-era5"):
            return self.problem("process", 404, "process not found", f"process {path[4]} not found")
        return self.send("process", 200, {"id": path[4], "links": []})

    def submit(self, path, body, fault):
        cds, identity, inputs = self.server_of, str(uuid.uuid4()), json.loads(body)["inputs"]
        plan, why = list(fault.get("plan", cds.plan)), fault.get("why", "MARS returned no data")
        cds.requests.append((path[4], inputs))
        cds.jobs[identity] = {"collection": path[4], "inputs": inputs, "plan": plan, "status": plan[0], "why": why}
        cds.active += 1
        cds.most_active = max(cds.most_active, cds.active)
        self.send("submit", 201, self.status(identity))

    def job(self, path, body, fault):
        job = self.server_of.jobs.get(path[4])
        if job is None:
            return self.problem("job", 404, "job not found", f"job {path[4]} not found")
        if "log" in parse_qs(urlsplit(self.path).query):  # only a poll lets time pass
            if len(job["plan"]) > 1:
                job["plan"].pop(0)
            job["status"] = job["plan"][0]
        return self.send("job", 200, self.status(path[4]))

    def results(self, path, body, fault):
        cds, job = self.server_of, self.server_of.jobs[path[4]]
        if job["status"] in ("failed", "rejected"):
            cds.active -= 1
            title = "The job has failed" if job["status"] == "failed" else "The job has been rejected"
            return self.problem("results", 400, title, traceback=job["why"])
        job["file"] = Path(cds.answer(job["collection"], job["inputs"]))
        value = {
            "type": {"netcdf": "application/netcdf", "grib": "application/x-grib"}[job["inputs"]["data_format"]],
            "href": f"http://{self.headers['Host']}/asset/{path[4]}/reply",
            "file:size": job["file"].stat().st_size + fault.get("lie", 0),
        }
        return self.send("results", 200, {"asset": {"value": value}})

    def record(self, path, body, fault):
        files = []
        for name, file in self.server_of.files.items():
            checksum = self.server_of.checksum or "md5:" + hashlib.md5(file.read_bytes()).hexdigest()
            link = {"self": f"http://{self.headers['Host']}/zenodo/files/{name}"}
            files.append({"key": name, "size": file.stat().st_size, "checksum": checksum, "links": link})
        self.send("record", 200, {"id": 1, "files": files})

    def listing(self, path, body, fault):
        query, objects = parse_qs(urlsplit(self.path).query), self.server_of.objects
        keys = sorted(key for key in objects if key.startswith(query["prefix"][0]))
        first = int(query.get("continuation-token", ["0"])[0])
        text = ""
        for key in keys[first : first + 2]:
            tag = hashlib.md5(objects[key].read_bytes()).hexdigest() + ("-2" if key in self.server_of.pieces else "")
            size = objects[key].stat().st_size
            text += f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;{tag}&quot;</ETag></Contents>"
        if first + 2 < len(keys):
            text += f"<NextContinuationToken>{first + 2}</NextContinuationToken>"
        body = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</ListBucketResult>'
        self.send("listing", 200, body.encode(), "application/xml")

    def tree(self, path, body, fault):
        query, objects = parse_qs(urlsplit(self.path).query), self.server_of.objects
        folder = unquote("/".join(path[6:])) + "/"
        keys = sorted(key for key in objects if key.startswith(folder))
        if unquote(path[5]) != self.server_of.revision or not keys:
            return self.send("tree", 404, {"error": "Not found"})
        entries = [{"type": "directory", "path": folder[:-1], "size": 0, "oid": "0" * 40}]
        for key in keys if query.get("recursive") == ["true"] else []:
            content = objects[key].read_bytes()
            entry = {"type": "file", "path": key, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            if key not in self.server_of.small:
                wrong = fault.get("lie", 0)
                entry["lfs"] = {"oid": hashlib.sha256(content + b"!" * wrong).hexdigest(), "size": len(content)}
            entries.append(entry)
        first = int(query.get("cursor", ["0"])[0])
        link = f"http://{self.headers['Host']}{urlsplit(self.path).path}?recursive=true&cursor={first + 2}"
        more = {"Link": f'<{link}>; rel="next"'} if first + 2 < len(entries) else {}
        return self.send("tree", 200, entries[first : first + 2], headers=more)

    def resolve(self, path, body, fault):
        key = unquote("/".join(path[5:]))
        if unquote(path[4]) != self.server_of.revision or key not in self.server_of.objects:
            return self.problem("resolve", 404, "Entry not found")
        return self.send("resolve", 302, b"", headers={"Location": f"/bucket/{quote(key)}"})

    def unknown(self, path, body, fault):
        self.problem("unknown", 404, "not found", self.path)

    def status(self, identity):
        job = self.server_of.jobs[identity]
        link = f"http://{self.headers['Host']}/api/retrieve/v1/jobs/{identity}"
        links = [{"rel": rel, "href": link} for rel in ("self", "monitor")]
        return {
            "processID": job["collection"],
            "jobID": identity,
            "status": job["status"],
            "links": links,
            "metadata": {},
        }

    def stream(self, route, file, fault):
        size, start, asked = file.stat().st_size, 0, self.headers.get("Range")
        if asked:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        left = size - start
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(left + fault.get("announce", 0)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.server_of.calls.append((self.command, route, "cut" if "cut" in fault else 206 if asked else 200))
        if self.command == "HEAD":
            return
        self.close_connection = "cut" in fault or "announce" in fault
        left = min(left, fault.get("cut", left), left + min(0, fault.get("announce", 0)))
        with open(file, "rb") as source:
            source.seek(start)
            while left:
                block = source.read(min(left, 1 << 20))
                self.wfile.write(bytes(len(block)) if fault.get("zeros") else block)
                left -= len(block)
        if route == "asset" and "cut" not in fault:
            self.server_of.active -= 1

    def problem(self, route, status, title, detail=None, **more):
        body = {"type": title, "title": title, "status": status, "trace_id": "0"} | more
        self.send(route, status, body | ({"detail": detail} if detail else {}))

    def send(self, route, status, body, kind="application/json", headers=None):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.server_of.calls.append((self.command, route, status))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
