"""Reading the file that summary.py writes: the statistics of one simulation or of the reference."""

import json
from pathlib import Path

import netCDF4
import numpy as np

from workflow.scripts.common.grids import ConservativeRegridder
from workflow.scripts.common.ncfiles import read_months
from workflow.scripts.submission.drs import member_label


def summary_paths(folder, experiments, members):
    """Paths of the summaries of the first ``members`` of every experiment; older ones may lie beside them."""
    return [
        Path(folder, name, f"{member_label(number)}.nc") for name in experiments for number in range(1, members + 1)
    ]


class SummaryFile:
    """A summary opened for reading: small axes and series in memory, maps read when asked for.

    experiment, member: from the path ``{experiment}/{member}.nc``; months, lat, lon, fields, units {field: text},
    series (field, month), indices {name: (month,)}, spectra {field: (wavenumber,)}, seasons {field: (12, lat)},
    monthly_fields [field], rain_quantiles {period: (quantile,)}, zonal_rain (month, lat) or None without precipitation,
    skipped {statistic: reason}.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.experiment, self.member = self.path.parent.name, self.path.stem
        with netCDF4.Dataset(path) as data:
            data.set_auto_mask(False)
            self.lat, self.lon, self.months = data["lat"][:], data["lon"][:], read_months(data)
            self.statistics, self.fields = data["statistic"][:].tolist(), data["field"][:].tolist()
            self.units = dict(zip(self.fields, data["units"][:].tolist(), strict=True))
            self.series, self.skipped = data["series"][:], json.loads(data.skipped)
            self.indices = dict(zip(data["index"][:].tolist(), data["indices"][:], strict=True))
            self.spectra = dict(zip(data["spectral_field"][:].tolist(), data["spectra"][:], strict=True))
            self.seasons = dict(zip(data["section_field"][:].tolist(), data["seasons"][:], strict=True))
            self.monthly_fields = data["monthly_field"][:].tolist()
            self.rain_quantiles = dict(zip(data["rain_period"][:].tolist(), data["rain_quantiles"][:], strict=True))
            self.zonal_rain = data["zonal_rain"][:] if "zonal_rain" in data.variables else None

    def has(self, statistic):
        """Whether the statistic is there; the reason is in ``skipped`` where it is not."""
        return statistic in self.statistics

    @property
    def climatology(self):
        """The statistic that climatology predicts for the test period."""
        return "climatology_test" if self.has("climatology_test") else "mean_training"

    def maps(self, statistic, fields=None):
        """Maps of a statistic, float64 (field, lat, lon), for ``fields`` in that order (default: all)."""
        with netCDF4.Dataset(self.path) as data:
            data.set_auto_mask(False)
            values = data["statistics"][self.statistics.index(statistic)].astype(np.float64)
        return values[[self.fields.index(field) for field in (self.fields if fields is None else fields)]]

    def maps_on(self, grid, statistic, fields):
        """``maps`` on the grid of another summary: as they are if it is the same, else conservatively regridded."""
        return self.regridded(self.maps(statistic, fields), grid)

    def regridded(self, maps, grid):
        """Maps (.., lat, lon) of this summary's grid on that of ``grid`` (lat, lon): as in ``maps_on``."""
        if np.array_equal(self.lat, grid.lat) and np.array_equal(self.lon, grid.lon):
            return maps
        return ConservativeRegridder((self.lat, self.lon), (grid.lat, grid.lon))(maps)

    def monthly_on(self, grid, field):
        """Means of each calendar month (12, lat, lon) and variance of departures from them (lat, lon), on that grid."""
        place = self.monthly_fields.index(field)
        with netCDF4.Dataset(self.path) as data:
            data.set_auto_mask(False)
            found = [data[name][place].astype(np.float64) for name in ("monthly_means", "anomaly_variance")]
        return tuple(self.regridded(maps, grid) for maps in found)

    def lowest_pressure_on(self, grid):
        """The lowest surface pressure of any month (lat, lon), Pa, on that grid; None where it was not kept."""
        with netCDF4.Dataset(self.path) as data:
            data.set_auto_mask(False)
            if "lowest_ps" not in data.variables:
                return None
            return self.regridded(data["lowest_ps"][:].astype(np.float64), grid)

    def boxes(self, field):
        """Monthly means over 15-degree boxes (month, 12, 24) of a field, float64; None where it was not kept."""
        with netCDF4.Dataset(self.path) as data:
            data.set_auto_mask(False)
            kept = data["box_field"][:].tolist()
            return data["boxes"][kept.index(field)].astype(np.float64) if field in kept else None

    def global_mean(self, field):
        """Area mean (month,) of a field."""
        return self.series[self.fields.index(field)]


def annual_means(series, months):
    """Years with twelve months and the mean of each, from the last axis of ``series`` (.., month)."""
    years = months.astype("datetime64[Y]").astype(int) + 1970
    values, counts = np.unique(years, return_counts=True)
    complete = values[counts == 12]
    means = [series[..., years == year].mean(-1) for year in complete]
    return complete, np.stack(means, axis=-1) if means else np.empty((*series.shape[:-1], 0))
