"""The figures: the map projection against its formula, color scales, and every file drawn and not blank."""

import warnings

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.helpers.evaluation_run import EXPERIMENTS, LAT, LON, MONTHS, SETTINGS, run
from tests.helpers.evaluation_tree import periods, write_land
from workflow.scripts.evaluate.plots.lines import plot_lines
from workflow.scripts.evaluate.plots.maps import plot_maps
from workflow.scripts.evaluate.plots.results import Evaluated
from workflow.scripts.evaluate.plots.style import (
    coastlines,
    heat_limit,
    heat_map,
    mollweide,
    mollweide_pixels,
    symmetric_limit,
    world_image,
)


def test_projection_keeps_areas():
    """Equal-area: the share of pixels in a latitude band is the share of the sphere, (sin b - sin a) / 2."""
    _, lat = mollweide_pixels()
    inside = np.isfinite(lat)
    for south, north in ((-90, -30), (0, 45), (60, 90)):
        share = ((lat >= south) & (lat < north)).sum() / inside.sum()
        assert share == pytest.approx((np.sin(np.deg2rad(north)) - np.sin(np.deg2rad(south))) / 2, abs=3e-3)


def test_projection_of_points_inverts_that_of_pixels():
    lon, lat = mollweide_pixels(200)
    row, column = 70, 60
    x, y = mollweide(lon[row, column], lat[row, column])
    assert (x, y) == pytest.approx(((column + 0.5) / 100 * 2 - 2, (row + 0.5) / 100 * 2 - 1), abs=2e-3)


def test_a_cell_is_drawn_where_it_lies():
    values = np.zeros((len(LAT), len(LON)))
    values[9, 20] = 1  # 45N, 300E = 60W
    image = world_image(LAT, LON, values)
    lon, lat = mollweide_pixels()
    drawn = image.filled(0) > 0
    assert drawn.any()
    assert (lat[drawn].min(), lat[drawn].max()) == pytest.approx((37.5, 52.5), abs=0.5)
    assert (lon[drawn].min(), lon[drawn].max()) == pytest.approx((-67.5, -52.5), abs=0.5)


def test_coastline_of_a_square_continent_passes_half_land():
    land = np.outer(np.abs(LAT) < 40, (LON > 20) & (LON < 100)).astype(float)
    points = np.concatenate(coastlines(LAT, LON, land))
    x, y = mollweide(np.array([22.5, 97.5]), np.zeros(2))  # half-way between cells at 15 and 30, 90 and 105 E
    middle = points[np.abs(points[:, 1]) < 0.05]
    assert (middle[:, 0].min(), middle[:, 0].max()) == pytest.approx(tuple(x), abs=0.01)
    assert np.abs(points[:, 0]).max() <= 2
    assert y == pytest.approx(np.zeros(2))


@pytest.mark.parametrize("size, limit", [(0.97, 1.0), (1.2, 1.5), (34.0, 40.0), (5.5e-3, 6e-3), (0.0, 1.0)])
def test_color_limits_are_round_and_hold_the_data(size, limit):
    assert symmetric_limit(np.full((5, 5), -size)) == pytest.approx(limit)


def test_a_heat_map_tells_each_number_once_and_the_better_ones_in_bold():
    values = np.array([[0.5, np.nan], [3.0, 1.25]])
    figure, axes = plt.subplots()
    heat_map(axes, values, ["all", "tas"], heat_limit(values), values < 1, "standard deviations")
    told = {text.get_position(): (text.get_text(), text.get_fontweight(), text.get_color()) for text in axes.texts}
    assert told == {
        (0, 0): ("0.50", "bold", "white"),
        (1, 0): ("-", "normal", "black"),
        (0, 1): ("3.00", "normal", "black"),
        (1, 1): ("1.25", "normal", "white"),
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all", "tas"]
    plt.close(figure)
    assert heat_limit(np.ones((3, 3))) == 2 and 2 < heat_limit(values) < 3


def test_maps_refuse_the_land_of_another_grid(result, tmp_path):
    (tmp_path / "other").mkdir()
    write_land(tmp_path / "other/static.nc", MONTHS, LAT[::2], LON[::2])
    paths = result / "metrics.csv", result / "metrics.nc", result / "reference.nc"
    with pytest.raises(ValueError, match=r"other/static.nc has a grid of \(7, 12\), the reference \(13, 24\)"):
        Evaluated(*paths, tmp_path / "other/static.nc", EXPERIMENTS, SETTINGS, "MD-made")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """All figures of the shortest run, drawn with every warning an error."""
    spans = periods(training=("1979-01", "1979-12"), validation=("1980-01", "1980-12"), test=("1981-01", "1981-12"))
    simulations = {
        (name, "r1i1p1f1"): {"seed": 1, "warming": entry["sst_offset"]} for name, entry in EXPERIMENTS.items()
    }
    simulations["aimip", "r2i1p1f1"] = {"seed": 2}
    folder = run(tmp_path_factory.mktemp("figures"), simulations, spans, truth=3.0, minimum_years=5)
    settings = {**SETTINGS, "periods": spans}
    paths = folder / "metrics.csv", folder / "metrics.nc", folder / "reference.nc", folder / "era5" / "static.nc"
    summaries = sorted((folder / "summary").glob("*/*.nc"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = Evaluated(*paths, EXPERIMENTS, settings, "MD-made")
        plot_maps(results, folder / "figures")
        plot_lines(results, summaries, folder / "figures")
    return folder / "figures"


MAPS = "bias_training", "bias_test", "response_aimip-p4k", "trends", "enso"
LINES = (
    "scores",
    "series",
    "zonal_bias",
    "indices",
    "ensemble",
    "spectra",
    "stratosphere",
    "land_sea",
    "seasonal_response",
)


def test_every_figure_is_there_as_png_and_pdf_and_nothing_else(drawn):
    names = {path.name for path in drawn.iterdir()}
    assert names == {f"{name}.{ending}" for name in (*MAPS, *LINES) for ending in ("png", "pdf")}


@pytest.mark.parametrize("name", [*MAPS, *LINES])
def test_figure_has_something_on_it_and_is_readable_at_print_size(drawn, name):
    pixels = matplotlib.image.imread(drawn / f"{name}.png")[..., :3]
    assert 0.01 < (pixels < 0.9).any(axis=-1).mean() < 0.9
    assert pixels.shape[1] >= 900  # 6 inches at 150 dots per inch
    assert (drawn / f"{name}.pdf").read_bytes().startswith(b"%PDF")
