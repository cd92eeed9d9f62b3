"""Spectra by total wavenumber: single harmonics, rotations and Parseval's identity, on grids with and without poles."""

import numpy as np
import pytest
from scipy.special import sph_harm_y

from workflow.scripts.common.grids import centres
from workflow.scripts.evaluate.measures.spherical import Harmonics

GRIDS = {"poles": centres(4.5), "no poles": centres(5, poles=False)}


@pytest.fixture(params=GRIDS, scope="module")
def grid(request):
    lat, lon = GRIDS[request.param]
    return lat, lon, Harmonics(lat, lon)


def harmonic(degree, order, lat, lon):
    theta, phi = np.deg2rad(90 - lat)[:, None], np.deg2rad(lon)[None, :]
    return sph_harm_y(degree, order, theta, phi)


@pytest.mark.parametrize("degree, order", [(0, 0), (1, 1), (4, 0), (7, 3), (30, 30)])
def test_a_single_harmonic_has_its_power_at_its_degree(grid, degree, order):
    lat, lon, harmonics = grid
    field = 3 * harmonic(degree, order, lat, lon).real[None]
    power = harmonics.power(field)[0]
    # Orthonormal: the square's area mean is 9 / (4 pi), half of it where the real part of a wave is taken.
    assert power[degree] == pytest.approx(9 / (4 * np.pi) / (2 if order else 1), rel=1e-9)
    assert np.delete(power, degree) == pytest.approx(0, abs=1e-12)


def test_power_sums_to_the_mean_square_of_a_field_of_many_scales(grid):
    lat, lon, harmonics = grid
    rng = np.random.default_rng(1)
    field, expected = 0, np.zeros(harmonics.degree + 1)
    for degree in range(harmonics.degree + 1):
        for order in {0, degree // 2, degree}:
            factor = rng.normal()
            field = field + factor * harmonic(degree, order, lat, lon).real
            expected[degree] += factor**2 / (4 * np.pi) / (2 if order else 1)
    power = harmonics.power(field[None])[0]
    assert power == pytest.approx(expected, rel=1e-6, abs=1e-9)
    smooth = np.cos(np.deg2rad(lat))[:, None] * np.cos(np.deg2rad(lon)) + np.sin(np.deg2rad(lat))[:, None]
    assert harmonics.power(smooth[None]).sum() == pytest.approx(2 / 3, rel=1e-9)  # 1/3 for each of the two axes


def test_solid_rotation_about_any_axis_has_its_kinetic_energy_at_degree_one(grid):
    lat, lon, harmonics = grid
    phi, theta = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None, :]
    polar = 10 * np.cos(phi) + 0 * theta, np.zeros((len(lat), len(lon)))
    tilted = -10 * np.sin(phi) * np.cos(theta), 10 * np.sin(theta) + 0 * phi  # about the axis through 0E on the equator
    for u, v in (polar, tilted):
        energy = harmonics.kinetic_energy(u[None], v[None])[0]
        assert energy[1] == pytest.approx(100 / 3, rel=1e-6)  # mean of (10 cos)^2 / 2
        assert np.delete(energy, 1) == pytest.approx(0, abs=1e-7)


def test_divergent_and_rotational_wind_of_one_harmonic_have_the_same_energy(grid):
    """Wind along and across the gradient of Y_lm: mean (u^2 + v^2) / 2 = l (l + 1) / (8 pi), all of it at degree l."""
    lat, lon, harmonics = grid
    degree, order, step = 6, 2, 1e-5
    inside = np.abs(lat) < 89.9
    phi = np.clip(lat, -89.999, 89.999)
    north = (harmonic(degree, order, phi + step, lon) - harmonic(degree, order, phi - step, lon)) / np.deg2rad(2 * step)
    east = 1j * order * harmonic(degree, order, phi, lon) / np.cos(np.deg2rad(phi))[:, None]
    north, east = (np.where(inside[:, None], np.sqrt(2) * part.real, 0) for part in (north, east))
    for u, v in ((east, north), (-north, east)):
        energy = harmonics.kinetic_energy(u[None], v[None])[0]
        assert energy[degree] == pytest.approx(degree * (degree + 1) / (8 * np.pi), rel=1e-5)
        assert np.delete(energy, degree) == pytest.approx(0, abs=1e-4)


def test_a_grid_too_coarse_is_named():
    with pytest.raises(ValueError, match="a grid of 2 x 4 cells is too coarse"):
        Harmonics(*centres(90, poles=False))
