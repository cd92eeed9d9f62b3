"""The table of how long members know their first month, of members whose variance is known."""

import numpy as np
import pytest

from benchmarks import first_year
from tests.helpers import model_data


def test_members_that_part_in_three_months(tmp_path):
    """Variance rises as 1 - exp(-lead) and has a season, which is none of the lead's."""
    random = np.random.default_rng(0)
    dates = model_data.months((1979, 1), 240)
    lead = np.arange(240)
    deviation = np.sqrt((1 - np.exp(-lead)) * (2 + np.cos(2 * np.pi * lead / 12)))
    paths = []
    for member in range(8):
        paths.append(tmp_path / f"r{member}.nc")
        with model_data.open_file(paths[-1], dates, 13, 24) as dataset:
            noise = random.normal(size=(240, 13, 24)) * deviation[:, None, None]
            dataset.createVariable("t2m", "f4", ("time", "lat", "lon"))[:] = 280 + noise
    found = first_year.by_lead(*first_year.spread(paths, "t2m"))
    assert found["month 1"] == pytest.approx(0, abs=1e-6)
    assert found["2"] == pytest.approx(1 - np.exp(-1), rel=0.1)
    assert found["year 2"] == pytest.approx(1, rel=0.05)
    with pytest.raises(ValueError, match="two or more, not 1"):
        first_year.spread(paths[:1], "t2m")
    with pytest.raises(ValueError, match="30 months are given; 36 are the least"):
        first_year.by_lead(np.ones(30), np.arange(30) % 12 + 1)
