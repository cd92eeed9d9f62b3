"""What the evaluation judges skill by: the fields, and the forecasts to beat. Needs the standard library only."""

CLIMATOLOGY = "climatology"
# Reference forecasts (model/baselines.py), and whether each member of one is another forecast.
BASELINES = {"persistence": False, "regression": False, "regression+residuals": True, "no-diffusion": True}
# Fields whose box means summaries keep month by month, so that ensembles can be scored with the CRPS.
BOX_FIELDS = ("tas", "pr", "psl", "ta850", "zg500", "ua250")


def baseline_members(baseline, members):
    """Numbers of the members that a baseline has where the model has ``members``."""
    return range(1, members + 1 if BASELINES[baseline] else 2)
