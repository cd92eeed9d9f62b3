"""The table of all metrics, metrics.csv, and what more than one reader of it computes from it."""

import numpy as np

from workflow.scripts.common.skill import CLIMATOLOGY
from workflow.scripts.common.tables import read_rows

COLUMNS = ("source", "experiment", "member", "metric", "period", "field", "value", "units")
# Sources that are no model: what is compared with, and what is known of it beyond its data. CLIMATOLOGY is the third.
REFERENCE, TRUTH = "reference", "truth"
ALL_FIELDS = "mean of all fields"
PRESCRIBED = ("ts",)  # fields that the boundary conditions give over open sea: no skill there


def scored(metric, field):
    """Name of the metric over the area where the field is predicted: ``E1_rmsb_land`` for a prescribed one."""
    return f"{metric}_land" if field in PRESCRIBED else metric


class Table:
    """The tidy rows by key, for look-up."""

    def __init__(self, rows):
        self.values, self.text = {}, {}
        for row in rows:
            key = row["source"], row["experiment"], row["metric"], row["period"], row["field"]
            self.values.setdefault(key, []).append(float(row["value"]))
            self.text[row["metric"], row["field"]] = row["units"]

    def members(self, source, metric, period, field, experiment):
        """Values of the members, float64 (member,), in the table's order; empty where the metric was skipped."""
        return np.array(self.values.get((source, experiment, metric, period, field), []))

    def single(self, source, metric, period, field):
        """The one value of a reference or baseline, or None."""
        values = self.members(source, metric, period, field, "")
        return float(values[0]) if values.size else None

    def fields(self, metric, period):
        """Fields that have a value of the metric in the period, in the table's order."""
        return list(dict.fromkeys(key[-1] for key in self.values if key[2:4] == (metric, period)))

    def metrics(self, period, field):
        """Metrics that the field has in the period, in the table's order."""
        return list(dict.fromkeys(key[2] for key in self.values if key[3:] == (period, field)))

    def units(self, metric, field):
        """Units of a metric of a field."""
        return self.text.get((metric, field), "")


def scaled_rmsb(table, source, experiment, period, metric="E1_rmsb"):
    """RMSB in units of the reference's interannual standard deviation (training span), mean over fields.

    Both are over land for a field that is prescribed over the sea.
    metric: ``E1_ensemble_mean_rmsb`` for the one value of the ensemble mean.

    Returns (member,) for ``source`` and the climatology's number (None outside the test period), or (empty, None) where
    the training span is too short for a standard deviation. Fields that never vary in the reference are left out.
    """
    sigma = interannual_scale(table)
    if not sigma:
        return np.array([]), None
    ours = [
        table.members(source, scored(metric, field), period, field, experiment) / value
        for field, value in sigma.items()
    ]
    base = [table.single(CLIMATOLOGY, scored("E1_rmsb", field), period, field) for field in sigma]
    known = None not in base
    return np.mean(ours, axis=0), float(np.mean(np.array(base) / list(sigma.values()))) if known else None


def scaled_trend_error(table, source, experiment, period):
    """Mean over fields of the absolute error of the global mean's trend (member,), in standard deviations a decade.

    Standard deviations are of the reference's annual global means about their own trend in the training span; fields
    that never vary are left out. Empty where a period is too short for a trend or a deviation.
    """
    errors = []
    for field in table.fields("trend_global", period):
        scale = table.single(REFERENCE, "global_std_detrended", "training", field)
        known = table.single(REFERENCE, "trend_global", period, field)
        ours = table.members(source, "trend_global", period, field, experiment)
        if scale and known is not None and ours.size:
            errors.append(np.abs(ours - known) / scale)
    return np.mean(errors, axis=0) if errors else np.array([])


def interannual_scale(table):
    """Interannual standard deviation of the reference in the training span where fields are predicted, if not zero.

    {field: value}, in the table's order.
    """
    fields = table.fields("interannual_std", "training")
    found = {name: table.single(REFERENCE, scored("interannual_std", name), "training", name) for name in fields}
    return {field: value for field, value in found.items() if value and value > 0}


def read_table(path):
    """``Table`` of the file metrics.csv."""
    return Table(read_rows(path))
