"""A synthetic planet with known truth: monthly fields like ERA5's, for runs and tests without ERA5.

The planet is a stochastic Earth. Its land and its Nino3.4 index are observed ones, its climate is a table
(workflow/data), the rest is the following formulas; nothing is integrated in time, so that any month of any year can
be had alone. x is position, t the start of a month, m a month, c = 0..11 the month of the year.

Sea (`sea.py`). The virtual SST  S* = S0(x, c) + W(t) w(x, c) + N(t) e(x, c) + sum_k r_k(t) p_k(x)  is climate,
accelerating warming W, ENSO (N: observed Nino3.4) and regional red noise r_k (1/e in 8 months). SST is S* held above
freezing; ice cover falls with S*. The values at the start of a month are the primary ones, as in AIMIP's forcing
file; a month has the mean of its start and the next one's.

Forced response (`atmosphere.py`). a(x, m) = SST less its climate acts through six drivers, all linear in a: a
itself; a smoothed over 5 and over 14 degrees of sea; its means over the tropics a_T and over 60 S - 60 N a_G; and
n = a in the Nino3.4 box less a_T. Air at the sea is SST - 0.8 K; over ice it follows 1.7 s, inland 1.5 s (the Arctic
more, Antarctica less; s = mean of regional and global a), between coast and inland by how continental a place is.
Aloft the tropics warm with a_T along a moist profile (2.2 at 250 hPa), other latitudes with s, the poles' lower levels
more; the stratosphere cools. Sea-level pressure, wind, rain and land have fixed patterns per K of a_T and of n;
tropical rain also follows a less a_T. Sea ice is prescribed: an SST offset leaves it as it is.

Internal variability (`weather.py`), not forced by SST: modes NAO, SAM, PNA (red noise, `modes()` has their memory)
and a QBO of 28 months; and noise, independent each month. They act on sea-level pressure, temperature and rain.

Consistency. Geopotential is hypsometric: Phi(1000) = R Tv ln(msl/1000 hPa), plus R Tv dln(p) layer by layer. Wind is
its zonal-mean climate plus the geostrophic wind of all departures of Phi from theirs (fading at the equator), plus
tropical patterns and noise. Humidity is relative humidity, higher where it rains, times Clausius-Clapeyron
saturation; dew point likewise, never above temperature. Rain is the square of a normal variable held above zero.
Surface pressure is msl reduced to the ground's height, air temperature falls 5.8 K/km along the ground.

Randomness depends on (seed, name, year) alone and starts in 1940: the same on every grid, in every job and for every
period. Climate and stationary waves are the same for all seeds.
"""

import numpy as np

from workflow.scripts.common.months import month_of_year
from workflow.scripts.common.physics import SEA_FREEZING
from workflow.scripts.planet.atmosphere import smooth_state, surface
from workflow.scripts.planet.climate import land_fraction, orography
from workflow.scripts.planet.grid import Interpolator, to_planet
from workflow.scripts.planet.modes import MODES, index
from workflow.scripts.planet.sea import month_means, month_starts
from workflow.scripts.planet.weather import LEVELS, weather

ALOFT = tuple(f"{letter}{level}" for letter in "uvtqz" for level in LEVELS)
SURFACE = ("skt", "t2m", "d2m", "u10", "v10", "avg_tprate", "sp", "msl")
CHANNELS = (*(name for name in ALOFT if name[0] != "z"), "z500", *SURFACE)  # the 37 fields of the protocol
SEA_BELOW = 0.5  # land fraction from which on there is neither sea surface temperature nor sea ice


class Planet:
    """The planet of one ``seed`` (an int from 0 on).

    ``months`` are arrays of ``datetime64[M]`` from 1940-01 on; ``lat`` and ``lon`` the axes of any grid in degrees.
    Channels are named t850, t2m, ... as in config/variables.csv (and z at every level), in SI units.
    """

    def __init__(self, seed):
        self.seed = int(seed)

    def month_starts(self, months, lat, lon):
        """SST (K) and sea ice (0..1) at the start of ``months``, each float32 (month, lat, lon), NaN over land."""
        sst, ice = (Interpolator(lat, lon)(field) for field in month_starts(self.seed, _months(months)))
        sea = land_fraction(lat, lon) < SEA_BELOW
        # a cubic surface swings a little beyond its values at steep edges
        sst, ice = np.maximum(sst, SEA_FREEZING), np.clip(ice, 0, 1)
        return tuple(np.where(sea, field, np.float32(np.nan)) for field in (sst, ice))

    def sea(self, months, lat, lon):
        """Mean SST (K) and sea ice (0..1) of ``months``, what forces their fields: half their start and half their
        end. As ``month_starts``."""
        months = _months(months)
        starts, ends = (self.month_starts(times, lat, lon) for times in (months, months + 1))
        return tuple((start + end) / 2 for start, end in zip(starts, ends, strict=True))

    def state(self, months, sst_anomaly=0.0, noise=True, modes=None):
        """All smooth fields of ``months`` on the planet's own grid, see ``smooth_state`` in `atmosphere.py`.

        ``sst_anomaly``: K added to the planet's SST, a number or an array (month or 1, 60, 120); sea ice stays.
        ``noise=False`` leaves the noise out; ``modes``: {name: index (month, columns)}, {} for none, None for all.
        """
        months = _months(months)
        sst, ice = month_means(self.seed, months)
        climate, _ = month_means(self.seed, months, anomaly=False)
        sst = sst + sst_anomaly
        now = weather(self.seed, months, noise, modes)
        return smooth_state(month_of_year(months) - 1, sst, ice, sst - climate, now)

    def fields(self, months, lat, lon, channels=CHANNELS, **options):
        """Yield (channel, float32 (month, lat, lon)) for ``channels``, one at a time; ``options``: see ``state``."""
        unknown = [name for name in channels if name not in ALOFT + SURFACE]
        if unknown:
            raise ValueError(f"the synthetic planet has no channel '{unknown[0]}'; it has {', '.join(ALOFT + SURFACE)}")
        state, carry = self.state(months, **options), Interpolator(lat, lon)
        for name in channels:
            if name in ALOFT:
                field = carry(state[name], vector=name[0] in "uv")
                yield name, np.maximum(field, 0) if name[0] == "q" else field
        if set(channels) & set(SURFACE):
            for name, field in surface(state, carry, land_fraction(lat, lon), orography(lat, lon)):
                if name in channels:
                    yield name, field

    def forced_response(self, months, lat, lon, sst_anomaly, channels=CHANNELS):
        """The truth about SST: what adding ``sst_anomaly`` does to each field of ``months``.

        ``sst_anomaly``: K, one number for the whole sea, or an array (lat, lon) or (month, lat, lon) on the given grid
        with NaN over land (its means over cells of 3 degrees act). Returns {channel: float32 (month, lat, lon)}, the
        difference of two states without noise and modes around the planet's own SST of these months.
        """
        if np.ndim(sst_anomaly):
            sst_anomaly = to_planet(np.asarray(sst_anomaly, np.float64), lat, lon)
        still = {"noise": False, "modes": {}}
        after = dict(self.fields(months, lat, lon, channels, sst_anomaly=sst_anomaly, **still))
        return {name: after[name] - field for name, field in self.fields(months, lat, lon, channels, **still)}

    def modes(self):
        """The internal modes {name: Mode}: decorrelation time (months to correlation 1/e) or period in months."""
        return dict(MODES)

    def mode_index(self, name, months):
        """Index of mode ``name`` at ``months``, mean 0 and variance 1: (month, 1), the QBO's two phases (month, 2)."""
        return index(self.seed, name, _months(months))

    def mode_response(self, name, months, lat, lon, column=0, channels=CHANNELS):
        """The truth about mode ``name``: change of each field of ``months`` per unit of its index (one standard
        deviation), the mode's amplitude and pattern. Returns {channel: float32 (month, lat, lon)}."""
        still, unit = {"noise": False, "modes": {}}, np.zeros_like(self.mode_index(name, months))
        unit[:, column] = 1
        after = dict(self.fields(months, lat, lon, channels, noise=False, modes={name: unit}))
        return {channel: after[channel] - field for channel, field in self.fields(months, lat, lon, channels, **still)}


def _months(months):
    return np.atleast_1d(np.asarray(months, "datetime64[M]"))
