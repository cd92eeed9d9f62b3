"""SPEEDY itself, some days of it, by jcm in the interpreter that make gcm makes."""

import json
import os
import subprocess
import sys

import pytest

from tests.helpers.project import ROOT

# Four days in one go, then two of them and the others from the state; both states, and what the days were like.
DAYS = """
import json, sys
import numpy as np
from workflow.scripts.gcm.atmosphere import Atmosphere
from workflow.scripts.gcm.boundary import Boundary
from workflow.scripts.gcm.monthly import near_ground

folder, boundary = sys.argv[1], Boundary()
one = Atmosphere(boundary, "1990-01-01")
start = one.model.dycore.to_physics_state(one.model.dycore_state)
still = [float(np.abs(np.asarray(wind)).max()) for wind in (start.u_wind, start.v_wind)]
for number in range(4):
    day = one.day(0.0)
    if number == 1:
        one.save(f"{folder}/half")
one.save(f"{folder}/whole")
other = Atmosphere(boundary, "1990-01-03")
other.load(f"{folder}/half")
for _ in range(2):
    again = other.day(0.0)
other.save(f"{folder}/again")
sea = (boundary.land == 0) & (boundary.surface(np.datetime64("1990-01-04")).ice == 0)
warm = other.day(4.0)
pressure = near_ground(day, one.sigma, one.height)["msl"]
try:
    with open(f"{folder}/damaged", "wb") as file:
        file.write(open(f"{folder}/half", "rb").read()[:5000])
    other.load(f"{folder}/damaged")
except ValueError as error:
    said = str(error)
print(json.dumps({
    "still": still,
    "pressure": boundary.mean(day.surface_pressure),
    "sea level": [float(pressure.min()), boundary.mean(pressure), float(pressure.max())],
    "air": boundary.mean(day.air), "rain": 86400 * boundary.mean(day.rain),
    "equator": float(day.air[:, 22:26].mean()), "poles": float(day.air[:, [0, -1]].mean()),
    "warming": [float(value) for value in np.percentile((warm.skin - day.skin)[sea], [1, 99])],
    "same": bool(np.array_equal(day.fields["t"], again.fields["t"])), "said": said,
}))
"""


@pytest.fixture(scope="module")
def interpreter():
    """The GCM's Python, made by the function that make uses (once; the environment stays)."""
    words = f"cd '{ROOT}' && . envs/gcm.sh && gcm_environment >&2 && echo \"$GCM_PYTHON\""
    environment = {**os.environ, "python": sys.executable, "SNAKEMAKE_DEPLOYMENT": ""}
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_days_of_speedy_are_a_climate_and_go_on_to_the_same_bytes(interpreter, tmp_path):
    flags = "--xla_cpu_multi_thread_eigen=false"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XLA_FLAGS": flags}
    command = [interpreter, "-c", DAYS, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (tmp_path / "again").read_bytes() == (tmp_path / "whole").read_bytes() != (tmp_path / "half").read_bytes()
    assert found["same"] and max(found["still"]) < 1e-3
    # SPEEDY has the Earth's mass of dry air, 983 hPa (Trenberth and Smith 2005), and the pressure at sea level with it.
    assert found["pressure"] == pytest.approx(98400, rel=0.006)
    assert found["sea level"][1] == pytest.approx(101200, rel=0.004)
    assert 94000 < found["sea level"][0] and found["sea level"][2] < 108000
    assert 284 < found["air"] < 290 and found["equator"] > 293 and found["poles"] < 265
    assert 1.5 < found["rain"] < 5
    assert found["warming"] == pytest.approx([4, 4], abs=0.35)
    assert "no state of the GCM, or is damaged" in found["said"]
