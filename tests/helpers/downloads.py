"""A download from the stand-in of the CDS, as the tests of the stage download ask for one."""

from tests.helpers import cds_replies
from workflow.scripts.download.era5 import download_era5

VARIABLES = cds_replies.VARIABLES
MONTHS = [f"1979-{month:02d}" for month in range(1, 13)]
SETTINGS = {"source": "cds", "product": "monthly", "era5t": False, "resolution": 15}
LIMITS = {"first_wait": 0.01, "patience": 2 / 3600, "outage": 0.4 / 3600}


def get(folder, dataset="single-levels", settings=SETTINGS, limits=LIMITS, months=MONTHS):
    output = folder / "1979.era5"
    download_era5(output, folder / "1979.json", VARIABLES, dataset, months, settings, limits)
    return output
