"""One year at ERA5's true size, both datasets, through download (stand-in), regrid, aggregate and normalize.

Prints the time and the largest memory of each stage; a worker has to stay below 2 GB. Run with ``pytest -m slow -s``.
"""

import json
import subprocess
import sys

import pytest

from tests.helpers.cds_stand_in import KEY, StandIn
from tests.helpers.project import VARIABLES

LIMIT_MB = 2000
MEASURED = """
import json, time
start = time.perf_counter()
{code}
seconds = time.perf_counter() - start
memory = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1000
print(json.dumps({{"seconds": round(seconds, 1), "megabytes": round(memory)}}))
"""


def measure(folder, name, code):
    """Run ``code`` in a process of its own as a job of the workflow would; its seconds and megabytes, printed too."""
    code = MEASURED.format(code=code)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cost = json.loads(done.stdout.splitlines()[-1])
    print(f"{name:28s} {cost['seconds']:7.1f} s {cost['megabytes']:6d} MB")
    return cost


@pytest.mark.slow
def test_a_full_size_year_stays_below_two_gigabytes(tmp_path, monkeypatch):
    table = f"V = {str(VARIABLES)!r}\n"
    planet = table + "from workflow.scripts.planet import era5_files as planet\n"
    measure(tmp_path, "planet: static", planet + "planet.write_static('static', V, 0.25)")
    measure(tmp_path, "planet: single levels", planet + "planet.write_single_levels(1979, 'single', V, 0.25, 1)")
    measure(tmp_path, "planet: pressure levels", planet + "planet.write_pressure_levels(1979, 'pressure', V, 0.25, 1)")
    costs = {}
    with StandIn(lambda name, request: tmp_path / ("pressure" if "pressure" in name else "single")) as server:
        monkeypatch.setenv("CDSAPI_URL", server.url)
        monkeypatch.setenv("CDSAPI_KEY", KEY)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for dataset in ("single-levels", "pressure-levels"):
            code = f"""{table}
from workflow.scripts.download.era5 import download_era5
settings = {{"source": "cds", "product": "monthly", "era5t": False, "resolution": 0.25}}
limits = {{"first_wait": 0.1, "patience": 0.01, "outage": 0.01}}
months = [f"1979-{{m:02d}}" for m in range(1, 13)]
download_era5("{dataset}.era5", "{dataset}.json", V, "{dataset}", months, settings, limits)"""
            costs[f"download {dataset}"] = measure(tmp_path, f"download {dataset}", code)
    steps = {
        "weights": "from workflow.scripts.regrid import weights; weights.write_weights('static', 'weights.nc', 1.5)",
        "regrid": table
        + """from workflow.scripts.regrid.era5 import regrid_era5
from workflow.scripts.regrid.static import regrid_static
sources = {name: name + ".era5" for name in ("single-levels", "pressure-levels")}
regrid_era5(sources, "weights.nc", V, "regrid.nc")
regrid_static("static", "weights.nc", V, "r_static.nc")""",
        "aggregate": """import numpy as np
from workflow.scripts.aggregate.era5 import aggregate_era5
from workflow.scripts.aggregate.static import aggregate_static
aggregate_era5(["regrid.nc"], "1979.nc", np.arange("1979-01", "1980-01", dtype="datetime64[M]"))
aggregate_static("r_static.nc", "static.nc")""",
        "forcing (2.25 degrees)": table
        + """from workflow.scripts.planet import era5_files as planet
from workflow.scripts.aggregate.forcing import aggregate_forcing
from workflow.scripts.regrid.forcing import regrid_forcing
from workflow.scripts.regrid.weights import write_weights
planet.write_static("coarse", V, 2.25)
planet.write_forcing("forcing", 2.25, 1)
write_weights("coarse", "coarse_weights.nc", 1.5)
regrid_forcing("forcing", "coarse_weights.nc", V, "r_forcing.nc")
aggregate_forcing("r_forcing.nc", "forcing.nc", "1979-01", "1979-12")""",
        "normalize": table
        + """from workflow.scripts.normalize.training import write_training
from workflow.scripts.normalize.training_statistics import write_statistics
period = ("1979-01", "1979-12")
write_statistics(["1979.nc"], "forcing.nc", "static.nc", V, "statistics.nc", period, "channel")
periods = {"training": period, "validation": period}
write_training(["1979.nc"], "forcing.nc", "static.nc", "statistics.nc", V, "training.nc", periods)""",
    }
    for name, code in steps.items():
        costs[name] = measure(tmp_path, name, code)
    assert (tmp_path / "training.nc").stat().st_size > 12 * 37 * 121 * 240 * 4
    assert max(cost["megabytes"] for cost in costs.values()) < LIMIT_MB
