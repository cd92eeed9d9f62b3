"""What all figures share: style, colors, map panels with coastlines, bands of members, and saving as PNG and PDF.

Colors are Okabe and Ito's and matplotlib's RdBu, BrBG and viridis: safe for color-blind readers. Coastlines are the
half-land contour of the model's own land fraction, so nothing is downloaded.
"""

from functools import lru_cache
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from contourpy import contour_generator
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.common.field_names import split_field

GREY = "#999999"
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = "#000000 #E69F00 #56B4E9 #009E73 #0072B2 #D55E00 #CC79A7".split()
NO_FIELD = "none of the fields that it draws is there"  # where a table of variables leaves them out
WET = ("pr", "hus", "huss")

plt.rcParams.update(
    {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.titlelocation": "left",
        "figure.titlesize": 10,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.2,
        "legend.frameon": False,
        "pdf.fonttype": 3,
        "savefig.dpi": 150,
    }
)


def colormap(field):
    """Diverging color map for anomalies of a field: brown to green for water, blue to red for the rest."""
    return "BrBG" if split_field(field)[0] in WET else "RdBu_r"


def symmetric_limit(*maps):
    """A round limit that holds 99 % of the cells of all maps: symmetric color scales, comparable between panels."""
    size = max(float(np.nanquantile(np.abs(values), 0.99)) for values in maps)
    if not size > 0:
        return 1.0
    digit = 10 ** np.floor(np.log10(size))
    return float(digit * min(step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * digit >= size * 0.999))


def panel_grid(count, columns, title, height, extra):
    """Figure and list of axes of ``count`` panels in ``columns``: rows of ``height`` inches, ``extra`` for all."""
    rows = -(-count // columns)
    size = 7.6, height * rows + extra
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    figure.suptitle(title)
    for axes in grid.flat[count:]:
        axes.axis("off")
    return figure, list(grid.flat[:count])


@lru_cache
def mollweide_pixels(width=900):
    """Longitude and latitude (degrees) of the pixels of an equal-area world map, NaN outside it: (width / 2, width).

    Mollweide's projection, centered on 0E, first row in the south: x = 2 sqrt(2) / pi lon cos(t), y = sqrt(2) sin(t),
    2 t + sin(2 t) = pi sin(lat).
    """
    x = (np.arange(width) + 0.5) / width * 2 - 1
    y = (np.arange(width // 2) + 0.5) / (width // 2) * 2 - 1
    angle = np.arcsin(y)[:, None]
    lon = 180 * x / np.cos(angle)
    lat = np.rad2deg(np.arcsin((2 * angle + np.sin(2 * angle)) / np.pi)) + np.zeros_like(lon)
    outside = np.abs(lon) > 180
    return np.where(outside, np.nan, lon), np.where(outside, np.nan, lat)


def mollweide(lon, lat):
    """Place (x, y) on that map, x in -2..2 and y in -1..1, of points in degrees, longitude in -180..180."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 721)
    angle = np.interp(np.sin(np.deg2rad(lat)), (2 * angle + np.sin(2 * angle)) / np.pi, angle)
    return np.asarray(lon) / 90 * np.cos(angle), np.sin(angle)


def world_image(lat, lon, values):
    """Values (lat, lon) on the pixels of the map: each pixel shows the cell it lies in; masked outside."""
    x, y = mollweide_pixels()
    outside = np.isnan(x)
    rows = np.searchsorted((lat[:-1] + lat[1:]) / 2, np.where(outside, 0, y))
    columns = np.rint((np.where(outside, 0, x) - lon[0]) / (360 / len(lon))).astype(int) % len(lon)
    return np.ma.array(values[rows, columns], mask=outside)


def coastlines(lat, lon, land):
    """Half-land contours as a list of (x, y) lines on the map."""
    order = np.argsort((lon + 180) % 360)
    turned = (lon[order] + 180) % 360 - 180
    x = np.concatenate([turned[-1:] - 360, turned, turned[:1] + 360])
    around = np.concatenate([land[:, order[-1:]], land[:, order], land[:, order[:1]]], axis=1)
    lines = contour_generator(x, lat, around).lines(0.5)
    return [np.stack(mollweide(np.clip(line[:, 0], -180, 180), line[:, 1]), axis=-1) for line in lines]


def map_panel(axes, lat, lon, panel, coasts):
    """One map on an equal-area projection with coastlines and a slim color bar below; see ``map_figure``."""
    axes.set_title(panel["title"], pad=3)
    limit = panel["limit"]
    image = axes.imshow(
        world_image(lat, lon, panel["values"]),
        extent=(-2, 2, -1, 1),
        origin="lower",
        interpolation="nearest",
        vmin=-limit,
        vmax=limit,
        cmap=panel["cmap"],
    )
    axes.add_collection(LineCollection(coasts, colors="0.2", linewidths=0.5))
    axes.add_patch(Ellipse((0, 0), 4, 2, fill=False, edgecolor="0.2", linewidth=0.6))
    axes.set(xlim=(-2.01, 2.01), ylim=(-1.01, 1.01))
    axes.axis("off")
    place = axes.inset_axes([0.14, -0.075, 0.64, 0.04])
    bar = axes.figure.colorbar(image, cax=place, orientation="horizontal", extend="both")
    bar.locator = MaxNLocator(5)
    bar.formatter.set_powerlimits((-2, 4))
    bar.update_ticks()
    bar.ax.tick_params(length=2, pad=1)
    bar.outline.set_linewidth(0.5)
    bar.ax.text(1.08, 0.5, panel["label"], transform=bar.ax.transAxes, va="center")


def map_figure(title, panels, grid, land, columns=2):
    """A figure of map panels, each with its own color bar.

    panels: list of dicts with values (lat, lon), title, limit, cmap and label (of the color bar).
    """
    rows = -(-len(panels) // columns)
    width, height = 3.7 * columns, 2.5 * rows + 0.45
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    figure.suptitle(title, y=1 - 0.08 / height, va="top")
    edges = {"left": 0.01, "right": 0.99, "top": 1 - 0.65 / height, "bottom": 0.3 / height}
    figure.subplots_adjust(**edges, wspace=0.04, hspace=0.34)
    coasts = coastlines(np.asarray(grid.lat), np.asarray(grid.lon), land)
    for place in axes.flat[len(panels) :]:
        place.axis("off")
    for place, panel in zip(axes.flat, panels, strict=False):
        map_panel(place, np.asarray(grid.lat), np.asarray(grid.lon), panel, coasts)
    return figure


def heat_limit(values):
    """Where the colors of a heat map of ``values`` end: at 2, or further up so that they hold 95 % of them."""
    return max(2.0, float(np.nanquantile(values, 0.95)))


def heat_map(axes, values, rows, limit, bold, label):
    """Scores (row, column) as colors and as text, in bold where ``bold`` (row, column); the first row stands apart.

    rows: their names; limit: where the colors end, which begin at 0; label: of the color bar. A NaN is a dash.
    """
    image = axes.imshow(values, aspect="auto", cmap="cividis", vmin=0, vmax=limit)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.axhline(0.5, color="white", linewidth=2)
    for (row, column), value in np.ndenumerate(values):
        color = "white" if value < limit / 2 else "black"
        text = "-" if np.isnan(value) else f"{value:.2f}"
        weight = "bold" if bold[row, column] else "normal"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7, fontweight=weight)
    axes.figure.colorbar(image, ax=axes, extend="max", label=label, aspect=40)


def decimal_years(months):
    """Years with fractions, of the middle of ``months``."""
    return 1970 + (months.astype(int) + 0.5) / 12


def band(axes, x, members, label):
    """Median line and range of ``members`` (member, x)."""
    axes.fill_between(x, members.min(0), members.max(0), color=SKY, alpha=0.6, linewidth=0)
    axes.plot(x, np.median(members, axis=0), color=BLUE, label=label)


def legend(figure, axes):
    """The legend of one panel, below all of them."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def log_axis(axis):
    """Few labels on a logarithmic axis: powers of ten, and thrice those where the axis is short."""
    low, high = axis.get_view_interval()
    subs = (1.0,) if high > 300 * low else (1.0, 3.0)
    axis.set(major_locator=LogLocator(subs=subs, numticks=7), minor_locator=NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 1e-3 <= value < 1e4 else f"{value:.0e}"))


def note_figure(title, reason):
    """A figure that says why there is nothing to draw."""
    figure = plt.figure(figsize=(6, 1.6))
    figure.suptitle(title)
    figure.text(0.5, 0.4, f"Not drawn: {reason}.", ha="center", va="center", wrap=True)
    return figure


def save(figure, png):
    """Write the figure as ``png`` and, beside it, as PDF (without a date: same data, same bytes); then forget it."""
    for path, metadata in ((Path(png), None), (Path(png).with_suffix(".pdf"), {"CreationDate": None})):
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)
        figure.set_layout_engine("none")  # Found once, kept for the second file.
    plt.close(figure)
