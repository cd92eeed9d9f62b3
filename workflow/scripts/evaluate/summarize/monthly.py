"""What a summary keeps of the months themselves, for single fields, in memory that does not grow with their number.

``monthly_means`` (monthly_field, month, lat, lon): mean of each calendar month over the simulation;
``anomaly_variance`` (monthly_field, lat, lon): variance of the months' departures from those means, not detrended;
``rain_quantiles`` (rain_period, quantile): of monthly precipitation over all cells, area-weighted; ``zonal_rain``
(time, lat): zonal-mean precipitation; ``lowest_ps`` (lat, lon): the lowest surface pressure of any month.
"""

import numpy as np

from workflow.scripts.common.grids import cell_areas
from workflow.scripts.common.months import month_of_year
from workflow.scripts.common.ncfiles import add_coordinate, add_text
from workflow.scripts.evaluate.measures.along_time import mean_weights
from workflow.scripts.evaluate.measures.rainfall import QUANTILES, RainHistogram

MONTHLY_FIELDS = ("tas", "pr")
RAIN, PRESSURE = "pr", "ps"


class Monthly:
    """Running statistics, filled by calendar years of fields in any order; arguments as of ``Summary``."""

    def __init__(self, months, lat, lon, periods):
        self.calendar, self.shape = month_of_year(months) - 1, (len(lat), len(lon))
        self.inside = {name: mean_weights(months, *periods[name]) > 0 for name in ("training", "test")}
        self.areas, self.histograms = cell_areas(lat, lon), {}
        self.sums, self.zonal, self.lowest = {}, None, None

    def add(self, field, span, values):
        """Take in ``values`` (month, lat, lon), float64, of the months ``span`` (a slice)."""
        if field in MONTHLY_FIELDS:
            count, (base, sums, squares) = self.sums.setdefault(
                field, (np.zeros(12, np.int64), np.zeros((3, 12, *self.shape)))
            )
            for month, row in zip(self.calendar[span], values, strict=True):
                if count[month] == 0:  # Squares are summed about the first value: no loss of digits.
                    base[month] = row
                count[month] += 1
                sums[month] += row - base[month]
                squares[month] += (row - base[month]) ** 2
        if field == RAIN:
            if self.zonal is None:
                self.zonal = np.full((len(self.calendar), self.shape[0]), np.nan)
                self.histograms = {name: RainHistogram(self.areas) for name in self.inside}
            self.zonal[span] = values.mean(-1)
            for name, inside in self.inside.items():
                if inside[span].any():
                    self.histograms[name].add(values[inside[span]])
        if field == PRESSURE:
            lowest = values.min(0)
            self.lowest = lowest if self.lowest is None else np.minimum(self.lowest, lowest)

    def means_and_variance(self, field):
        """Means (12, lat, lon) and variance (lat, lon), nan where no month or no two of a calendar month are there.

        The variance is unbiased: it divides by the number of months less one for each calendar month's mean.
        """
        count, (base, sums, squares) = self.sums[field]
        number = np.maximum(count, 1)[:, None, None]
        means = np.where(count[:, None, None] > 0, base + sums / number, np.nan)
        free = (np.maximum(count, 1) - 1).sum()
        total = np.maximum(squares - sums**2 / number, 0).sum(0)
        return means, total / free if free else np.full(self.shape, np.nan)

    def write(self, file):
        """Write the variables into a summary that has the dimensions time, month, lat and lon."""
        add_text(file, "monthly_field", "monthly_field", list(self.sums))
        add_text(file, "rain_period", "rain_period", list(self.histograms))
        sizes = {"zlib": True, "complevel": 1}
        means = file.createVariable("monthly_means", "f4", ("monthly_field", "month", "lat", "lon"), **sizes)
        variance = file.createVariable("anomaly_variance", "f4", ("monthly_field", "lat", "lon"), **sizes)
        for number, field in enumerate(self.sums):
            means[number], variance[number] = self.means_and_variance(field)
        add_coordinate(file, "quantile", QUANTILES, long_name="share of months and area below", units="1")
        quantiles = file.createVariable("rain_quantiles", "f8", ("rain_period", "quantile"))
        for number, histogram in enumerate(self.histograms.values()):
            quantiles[number] = histogram.quantiles()
        if self.zonal is not None:
            file.createVariable("zonal_rain", "f8", ("time", "lat"))[:] = self.zonal
        if self.lowest is not None:
            file.createVariable("lowest_ps", "f4", ("lat", "lon"))[:] = self.lowest
