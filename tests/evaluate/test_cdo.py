"""The metrics against CDO, from the same files."""

import shutil
import subprocess

import netCDF4
import numpy as np
import pytest

from tests.helpers.evaluation_run import LAT, LON, MONTHS, members, run
from tests.helpers.project import INDEX
from workflow.scripts.common.months import CALENDAR, TIME_UNITS, mid_times
from workflow.scripts.evaluate.metrics.table import read_table
from workflow.scripts.evaluate.summarize.enso import read_index


def cdo(*arguments):
    """Words that CDO prints."""
    command = ["cdo", "-s", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(shutil.which("cdo") is None, reason="needs CDO")
def test_metrics_agree_with_cdo(tmp_path):
    """E1, E2, E3, E5, interannual deviation and an index computed by CDO from the same files.

    ``max_latitude`` and the box both leave the poles out.
    """
    simulations = {
        ("aimip", "r1i1p1f1"): {"seed": 3, "bias": 0.2},
        ("aimip-p4k", "r1i1p1f1"): {"seed": 4, "warming": 2.5},
    }
    run(tmp_path, simulations)
    ours, warmed = (next((tmp_path / f"{name}_r1i1p1f1").glob("tas_*.nc")) for name in ("aimip", "aimip-p4k"))
    cdo("-O", "-b", "F64", "mergetime", *sorted((tmp_path / "era5").glob("19*.nc")), tmp_path / "all.nc")
    era5, box = f"-selname,t2m {tmp_path}/all.nc".split(), "-sellonlatbox,0,359,-87.5,87.5"
    test, training = "-seldate,1984-01-01,1985-12-31", "-seldate,1979-01-01,1983-12-31"
    table = read_table(tmp_path / "metrics.csv")

    def known(metric, period, field="tas", experiment="aimip"):
        (value,) = members(table, metric, period, field, experiment)
        return pytest.approx(value, rel=1e-4)

    def number(*chain):
        (value,) = cdo("-b", "F64", "outputf,%.9g,1", *chain)
        return float(value)

    def mean(*chain):
        """CDO weighs by areas whose edges are great circles, AIMIP by cos(lat): the weights are given to it."""
        weighted = "-expr,w=x*cos(rad(clat(x)))", "-expr,w=(x==x)*cos(rad(clat(x)))"
        total, weights = (number("-fldsum", expression, "-setname,x", box, *chain) for expression in weighted)
        return total / weights

    bias = ["-sub", "-timmean", test, ours, "-timmean", test, *era5]
    assert mean("-sqr", *bias) ** 0.5 == known("E1_rmsb", "test")
    assert mean(*bias) == known("E1_bias", "test")

    slopes = [["-mulc,10", "-regres", "-timselmean,12", training, *source] for source in ([ours], era5)]  # per decade
    assert mean(*slopes[0]) == known("trend_global", "training")
    assert mean("-sqr", "-sub", *slopes[0], *slopes[1]) ** 0.5 == known("E2_trend_rms", "training")

    deviation = ["-timvar1", "-timselmean,12", training, ours]
    assert mean(*deviation) ** 0.5 == known("interannual_std", "training")

    response = ["-sub", "-timmean", warmed, "-timmean", ours]
    assert mean(*response) == known("E5_response", "simulation", experiment="aimip-p4k")

    # E3: covariance with the index over its variance, the index spread over the grid as a field.
    write_index_field(tmp_path / "index.nc")
    index = [training, tmp_path / "index.nc"]
    slopes = [["-div", "-timcovar", training, *source, *index, "-timvar", *index] for source in ([ours], era5)]
    assert mean("-sqr", "-sub", *slopes[0], *slopes[1]) ** 0.5 == known("E3_enso_rms", "training")

    wind = next((tmp_path / "aimip_r1i1p1f1").glob("ua_*.nc"))
    series = ["-fldmean", "-sellonlatbox,0,359,-5,5", "-sellevel,5000", training, wind]
    assert number("-timstd", "-ymonsub", *series, "-ymonmean", *series) == known("index_std", "training", "QBO")


def write_index_field(path):
    """AIMIP's index at each mid-month, the same in every cell."""
    times, values = read_index(INDEX)
    with netCDF4.Dataset(path, "w") as data:
        axes = (("time", mid_times(MONTHS), TIME_UNITS), ("lat", LAT, "degrees_north"), ("lon", LON, "degrees_east"))
        for name, places, units in axes:
            data.createDimension(name, len(places))
            data.createVariable(name, "f8", (name,))[:] = places
            data[name].units = units
        data["time"].calendar = CALENDAR
        field = np.interp(mid_times(MONTHS), times, values)[:, None, None] + np.zeros((1, len(LAT), len(LON)))
        data.createVariable("index", "f8", ("time", "lat", "lon"))[:] = field
