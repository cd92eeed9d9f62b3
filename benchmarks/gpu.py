"""All that a GPU is good for here, measured on a bare machine in a given time: a Markdown table, and the same as JSON.

    python benchmarks/gpu.py --minutes 9 [--wheels FOLDER] [--json FILE]

Needed are Python 3.11 or later and torch; what else is missing is installed, without a network and beside what is
there, from wheels in FOLDER: numpy, netCDF4 with cftime and certifi, and a torch-harmonics made for the torch at hand.

Measured are parity with the CPU, the training step and an epoch, rollouts with and without output, the memory and the
operations of each, and what each part took. Each part is a process of its own that ends in time: what it cannot finish
is continued from what it measured, and the table says so. Without a GPU the CPU is measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {"numpy": "numpy", "netCDF4": "netCDF4 cftime certifi", "torch_harmonics": "torch-harmonics"}  # module: wheels
GRACE = 15.0  # seconds that starting a part and ending it take
# Parts in the order in which they matter, with the share of the time left that each may take.
PARTS = {
    "parity": 0.2,
    "training": 0.25,
    "rollout 50": 0.3,
    "rollout 5": 0.3,
    "rollout 200": 0.4,
    "output 5": 0.3,
    "output 50": 0.5,
    "output 200": 0.6,
    "epoch": 0.9,
}


def install(wheels: str | None, folder: str) -> None:
    """Install what cannot be imported into ``folder``; RuntimeError, in one sentence, if that is not possible."""
    missing = [
        name
        for name in NEEDED
        if subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True).returncode
    ]
    if not missing:
        return
    if wheels is None:
        raise RuntimeError(f"{', '.join(missing)} cannot be imported; give a folder with their wheels by --wheels")
    names = [wheel for name in missing for wheel in NEEDED[name].split()]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--find-links", wheels]
    done = subprocess.run([*command, "--target", folder, *names], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the wheels in {wheels} cannot be installed: {done.stderr.strip().splitlines()[-1]}")


def run_part(name: str, seconds: float, given, environment: dict) -> list[dict]:
    """The rows that a part printed within ``seconds``, and last one of how it ended."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.gpu_parts", name, "--seconds", f"{seconds:.1f}", *given.sizes]
    part = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    killer = threading.Timer(seconds + GRACE / 2, part.kill)
    killer.start()
    out, errors = part.communicate()
    killer.cancel()
    rows = [json.loads(line) | {"part": name} for line in out.splitlines() if line.startswith("{")]
    if part.returncode < 0:
        rows.append({"part": name, "what": f"stopped after {seconds:.0f} s"})
    elif part.returncode:
        last = (errors.strip().splitlines() or ["no word"])[-1]
        rows.append({"part": name, "what": f"failed: {last}"})
    rows.append({"part": name, "what": "clock", "value": round(time.monotonic() - begun, 1), "unit": "s"})
    return rows


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    lines = ["| part | what | value | unit | peak memory, MB |", "|---|---|---|---|---|"]
    for row in rows:
        value = row.get("value", "")
        value = f"{value:.4g}" if isinstance(value, float) else value
        memory = f"{row['memory_mb']:.0f}" if "memory_mb" in row else ""
        lines.append(f"| {row['part']} | {row['what']} | {value} | {row.get('unit', '')} | {memory} |")
    return "\n".join(lines)


def write(path: str, content: dict) -> None:
    """Write a JSON file, whole or not at all."""
    partial = Path(f"{path}.partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(partial, path)


def main(arguments=None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9, help="all ends within this time")
    parser.add_argument("--wheels", help="folder of the wheels of what is missing")
    parser.add_argument("--json", help="file to write the numbers to")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure")
    parser.add_argument("--tiny", action="store_true", help="small networks on a small grid, for a test")
    given = parser.parse_args(arguments)
    given.sizes = ["--tiny"] if given.tiny else []
    end = time.monotonic() + 60 * given.minutes - GRACE
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            install(given.wheels, folder)
        except RuntimeError as error:
            print(f"gpu: {error}", file=sys.stderr)
            return 1
        path = [str(ROOT), folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "TMPDIR": folder}
        for name in given.parts:
            seconds = PARTS[name] * (end - time.monotonic()) - GRACE / 3
            if seconds < 5:
                rows.append({"part": name, "what": "no time was left"})
                continue
            rows += run_part(name, seconds, given, environment)
            if given.json:
                write(given.json, {"minutes": given.minutes, "tiny": given.tiny, "rows": rows})
    print(table(rows))
    return 0 if any("value" in row and row["what"] != "clock" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
