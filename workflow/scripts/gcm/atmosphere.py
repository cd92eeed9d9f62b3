"""The GCM: SPEEDY's atmosphere at T30 with eight levels, by jcm 3.0.0, mended where jcm departs from SPEEDY.

Molteni 2003 (doi:10.1007/s00382-002-0268-2) and Kucharski et al. 2013 (doi:10.1175/BAMS-D-11-00238.1) describe SPEEDY.
jcm has its physics on another dynamical core. What is SPEEDY's here and not jcm's own:

- orography truncated as the dynamics see it, in the physics and below the pressure too (jcm truncates by places in
  its arrays, which are no wavenumbers, so its surface pressure belongs to another ground);
- the start: SPEEDY's atmosphere at rest, whose mass is right (jcm starts with 1000 hPa everywhere);
- horizontal diffusion: the fourth power of the Laplacian in 2.4 hours, along the ground of a standard atmosphere, and
  on the top level a sponge, the Laplacian in 12 hours and a drag of 30 days on the mean wind (jcm: the second power in
  12 to 24 hours, the first on divergence, no sponge);
- the geopotential that the physics see, of dry air as the dynamics' (jcm's is of moist air);
- ozone: what it takes up of the sunlight in the top level and in the second one (jcm shares the sum alike at all
  latitudes, which heats the tropical tropopause and slows the jets);
- the ground: a slab that exchanges heat and returns to its climatology in 40 days (jcm prescribes the climatology).

Arrays are (level, longitude, latitude), the top first, south first. Needs jcm, so only GCM_PYTHON can import it.
"""

import io
import zipfile

import jax
import jax.numpy as jnp
import jax_datetime
import numpy as np
from jcm.dycore.dinosaur import DinosaurDycore
from jcm.forcing import ForcingData
from jcm.model import Model
from jcm.physics.physics_term import PhysicsTerm
from jcm.physics.speedy.speedy_coords import get_speedy_coords, ozone_sigma_weight
from jcm.physics.speedy.speedy_terms import speedy_physics
from jcm.physics_interface import PhysicsState, PhysicsTendency
from jcm.terrain import TerrainData

from workflow.scripts.common.atomic import atomic_path
from workflow.scripts.gcm.boundary import FREEZING
from workflow.scripts.gcm.ground import Ground
from workflow.scripts.gcm.monthly import Day
from workflow.scripts.gcm.pressure import GAS_CONSTANT, GRAVITY, hydrostatic

TRUNCATION = 30
STEP = 1800.0  # s, jcm's for SPEEDY
LAPSE = 6.0e-3  # K m-1, of SPEEDY's standard atmosphere
SEA_LEVEL, STRATOSPHERE, SEA_LEVEL_PRESSURE = 288.0, 216.0, 1.013e5  # K, K, Pa
STRATOSPHERIC_LEVELS = 2
MOISTURE_POWER = 7.5 / 2.5  # scale height of pressure over that of moisture
RELATIVE_HUMIDITY, SATURATION = 0.7, 1.7e3  # share; Pa, at SEA_LEVEL
DIFFUSION_POWER, DIFFUSION_HOURS = 4, 2.4
SPONGE_HOURS, DRAG_HOURS = 12.0, 720.0
REFERENCE_PRESSURE = 1.0e5  # Pa, jcm's unit of surface pressure
HEAT_CAPACITY = GAS_CONSTANT * 3.5  # J kg-1 K-1, jcm's


class SpeedyDycore(DinosaurDycore):
    """jcm's dynamical core with SPEEDY's horizontal diffusion, sponge and geopotential in the place of jcm's."""

    def to_physics_state(self, state):
        """The state on the grid, with the geopotential of dry air."""
        found = super().to_physics_state(state)
        weights = jnp.asarray(hydrostatic(np.asarray(self.coords.vertical.boundaries, np.float64)), jnp.float32)
        thickness = jnp.tensordot(weights, found.temperature, axes=1)
        return found.copy(geopotential=GRAVITY * self.terrain.orog + thickness)

    def _build_filters(self):
        grid, levels = self.coords.horizontal, self.coords.vertical.centers
        geopotential = GRAVITY * np.asarray(self.terrain.orog, np.float64)
        exponent = GAS_CONSTANT * LAPSE / GRAVITY
        # What a standard atmosphere has along sloping levels is not diffused away.
        cooling = np.asarray(grid.to_modal(jnp.asarray(LAPSE / GRAVITY * geopotential, jnp.float32)))
        profile = np.where(np.arange(len(levels)) < 1, 0, levels**exponent)
        warm = cooling * profile[:, None, None]
        pressure = (1 - LAPSE / GRAVITY * geopotential / SEA_LEVEL) ** (1 / exponent)
        lacking = RELATIVE_HUMIDITY * 0.622 * SATURATION / SEA_LEVEL_PRESSURE * (1 - pressure**MOISTURE_POWER)
        profile = np.where(np.arange(len(levels)) < STRATOSPHERIC_LEVELS, 0, levels**MOISTURE_POWER)
        moist = np.asarray(grid.to_modal(jnp.asarray(lacking, jnp.float32))) * profile[:, None, None]
        keep, keep_wind = (jnp.asarray(kept, jnp.float32) for kept in self._kept(len(levels)))
        warm, moist, inner = jnp.asarray(warm), jnp.asarray(moist), keep[-1]

        def diffuse(_, state):
            tracers = dict(state.tracers)
            tracers["specific_humidity"] = inner * (tracers["specific_humidity"] + moist) - moist
            return state.replace(
                vorticity=keep_wind * state.vorticity,
                divergence=keep_wind * state.divergence,
                temperature_variation=keep * (state.temperature_variation + warm) - warm,
                tracers=tracers,
            )

        return [self._conserve_global_mean_ps, diffuse]

    def _kept(self, count):
        """What a step leaves of temperature and of wind: (level, order, degree) each."""
        order, degree = (np.asarray(axis) for axis in self.coords.horizontal.modal_axes)
        share = degree * (degree + 1) / (TRUNCATION * (TRUNCATION + 1))
        rate = np.zeros((count, len(order), len(degree)))
        rate += share**DIFFUSION_POWER / (3600 * DIFFUSION_HOURS)
        rate[0] += share / (3600 * SPONGE_HOURS)
        drag = np.zeros_like(rate)
        drag[0, order == 0] = 1 / (3600 * DRAG_HOURS)
        return np.exp(-self.dt_seconds * rate), np.exp(-self.dt_seconds * (rate + drag))


class OzoneByLevel(PhysicsTerm):
    """Moves the sunlight that ozone takes up to the level where SPEEDY has it: its upper part to the top level.

    jcm shares the sum by sigma, alike everywhere; SPEEDY's lower part, in the second level, is least at the equator.
    """

    name = "ozone_by_level"
    category = "radiation"

    def cache_coords(self, coords):
        """Keep the thickness of the levels, and the share of the top level in jcm's sum."""
        self.thickness = np.diff(np.asarray(coords.vertical.boundaries, np.float64))
        weights = np.asarray(ozone_sigma_weight(jnp.asarray(coords.vertical.centers))) * self.thickness
        self.share = float(weights[0] / weights.sum())

    def __call__(self, state, diagnostics, forcing, terrain):
        """Heating of the top level and cooling of the second one by the same energy."""
        sunlight = diagnostics["_shortwave_rad"]
        moved = sunlight.ozupp - self.share * (sunlight.ozupp + sunlight.ozone)  # W m-2 per unit of surface pressure
        rate = moved * GRAVITY / (HEAT_CAPACITY * REFERENCE_PRESSURE)
        heating = jnp.zeros_like(state.temperature)
        heating = heating.at[0].set(rate / self.thickness[0]).at[1].set(-rate / self.thickness[1])
        return PhysicsTendency.zeros(state.temperature.shape, temperature=heating), diagnostics


class Atmosphere:
    """The model from the start of the day ``date`` (``datetime64[D]``) on, at rest until ``load``.

    ``boundary``: a Boundary. ``sigma``: middles of the levels. ``height``: geopotential of the ground as the dynamics
    see it, m2 s-2.
    """

    def __init__(self, boundary, date):
        self.boundary, self.date = boundary, np.datetime64(date, "D")
        coords = get_speedy_coords(nodal_shape=(96, 48))
        degrees = np.rad2deg(np.asarray(coords.horizontal.latitudes))
        if not np.allclose(degrees, boundary.latitude, atol=0.01):
            raise ValueError("the boundary data are on other latitudes than the Gaussian grid of T30")
        self.sigma = np.asarray(coords.vertical.centers, np.float64)
        orography = truncated(coords.horizontal, boundary.height)
        terrain = TerrainData.from_coords(coords, orography=orography, fmask=jnp.asarray(boundary.land, jnp.float32))
        terrain = terrain.copy(orog=orography, phis0=GRAVITY * orography)
        self.height = GRAVITY * np.asarray(orography, np.float64)
        core = SpeedyDycore(coords=coords, terrain=terrain, dt_seconds=STEP)
        start = jax_datetime.to_datetime(str(self.date))
        self.model = Model(core, physics=speedy_physics() + OzoneByLevel(), terrain=terrain, start_time=start)
        self.model.bootstrap_state(self._rest())
        self.ground = Ground(boundary.land, boundary.albedo)

    def _rest(self):
        """SPEEDY's atmosphere at rest: constant lapse rate up to the stratosphere, surface pressure in balance."""
        exponent = GAS_CONSTANT * LAPSE / GRAVITY
        surface = SEA_LEVEL - LAPSE / GRAVITY * self.height
        pressure = SEA_LEVEL_PRESSURE / REFERENCE_PRESSURE * (surface / SEA_LEVEL) ** (1 / exponent)
        sigma, high = self.sigma[:, None, None], (np.arange(len(self.sigma)) < STRATOSPHERIC_LEVELS)[:, None, None]
        temperature = np.where(high, STRATOSPHERE, surface * sigma**exponent)
        moisture = RELATIVE_HUMIDITY * 0.622 * SATURATION / SEA_LEVEL_PRESSURE * pressure**MOISTURE_POWER
        humidity = np.where(high, 0, moisture * sigma**MOISTURE_POWER)
        temperature, humidity, pressure = (jnp.asarray(a, jnp.float32) for a in (temperature, humidity, pressure))
        still = jnp.zeros_like(temperature)
        return PhysicsState(still, still, temperature, humidity, still, pressure)

    def day(self, offset):
        """Run a day with open water ``offset`` K warmer than observed; its Day."""
        surface = self.boundary.surface(self.date + np.timedelta64(12, "h"), offset)
        land = self.ground.temperature(surface.land)
        warm = surface.sea > FREEZING
        # jcm takes ice for no warmer and no colder than freezing: its water is then what makes the sea's mean ours.
        water = np.where(warm, FREEZING + (surface.sea - FREEZING) / np.where(warm, 1 - surface.ice, 1), surface.sea)
        forcing = ForcingData.zeros(
            land.shape,
            **{
                name: jnp.asarray(values, jnp.float32)
                for name, values in (
                    ("alb0", self.boundary.albedo),
                    ("sice_am", surface.ice),
                    ("snowc_am", surface.snow),
                    ("soilw_am", surface.soil),
                    ("stl_am", land),
                    ("sea_surface_temperature", water),
                )
            },
        )
        result = self.model.resume(forcing=forcing, save_interval=1.0, total_time=1.0, output_averages=True)
        found = self._read(result)
        if not np.isfinite(found.surface_pressure).all():
            raise RuntimeError(f"the GCM lost its balance on {self.date}: its pressure is no number any more")
        self.ground.step(found.ground_flux)
        self.date = self.date + 1
        return found

    def _read(self, result):
        air, flux = result.dynamics, result.physics["_surface_flux"]

        def plain(values):
            return np.asarray(values[0], np.float64)

        named = {"t": "temperature", "q": "specific_humidity", "u": "u_wind", "v": "v_wind", "z": "geopotential"}
        rain = plain(result.physics["_convection"].precnv) + plain(result.physics["_condensation"].precls)
        return Day(
            fields={name: plain(getattr(air, long)) for name, long in named.items()},
            surface_pressure=REFERENCE_PRESSURE * plain(air.normalized_surface_pressure),
            air=plain(flux.t0),
            skin=plain(flux.tskin),
            east=plain(flux.u0),
            north=plain(flux.v0),
            rain=rain / 1000,  # from g m-2 s-1
            ground_flux=self.ground.flux(plain(flux.tskin) - plain(flux.tsfc)),
        )

    def save(self, path):
        """Write all that the next day depends on to ``path``: the same state, the same bytes."""
        state = self.model.run_state
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves((state.dynamics, state.physics))]
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
            for number, values in enumerate([self.ground.anomaly, *leaves]):
                part = io.BytesIO()
                np.save(part, values)
                file.writestr(zipfile.ZipInfo(f"{number:03d}.npy"), part.getvalue())

    def load(self, path):
        """Go on from what ``save`` wrote; raises ValueError for another model's state or a damaged file."""
        template, form = jax.tree.flatten((self.model.run_state.dynamics, self.model.run_state.physics))
        try:
            with zipfile.ZipFile(path) as file:
                anomaly, *leaves = [np.load(io.BytesIO(file.read(name))) for name in sorted(file.namelist())]
        except (zipfile.BadZipFile, EOFError, ValueError) as error:
            raise ValueError(f"{path} is no state of the GCM, or is damaged ({error}); remove it") from error
        mine = [(leaf.shape, leaf.dtype) for leaf in [self.ground.anomaly, *template]]
        if mine != [(leaf.shape, leaf.dtype) for leaf in [anomaly, *leaves]]:
            raise ValueError(f"{path} is the state of another model than this one; remove it")
        self.ground.anomaly = anomaly
        dynamics, physics = jax.tree.unflatten(form, [jnp.asarray(leaf) for leaf in leaves])
        self.model.restore_state(dynamics, physics, time=self.model.start_time, step=0)


def truncated(grid, field):
    """``field`` (longitude, latitude) without what is beyond T30, float32."""
    modal = grid.to_modal(jnp.asarray(field, jnp.float32))
    return grid.to_nodal(jnp.where(np.asarray(grid.modal_axes[1]) > TRUNCATION, 0, modal))
