"""Monthly Diffusion: a conditional variational autoencoder of a month, and a diffusion of the next month's latent.

Symbols: fields x (normalized), forcing c (SST, sea ice, land mask; normalized), month 1..12, latent z.
    z_0 ~ E(x_0, c_0, m_0);  z_{t+1} ~ p(z_{t+1} | z_t, c_t, m_t) by diffusion;  x_{t+1} = D(z_{t+1}, c_{t+1}, m_{t+1})
Hall and Molina 2026, arXiv:2604.13481.
"""

from typing import NamedTuple

import torch
from torch import nn

from model.blocks import ChannelEmbedding, ConditionalBlock, SeasonEmbedding, TimeEmbedding
from model.config import ModelConfig
from model.diffusion import Diffusion
from model.forced import ForcedResponse
from model.latents import LatentStatistics
from model.residual import ResidualNoise
from model.spectral import Resample
from model.sphere import Grid


class MonthInputs(NamedTuple):
    """What the encoder takes of months of data: fixed transforms of it, which training makes once for all epochs."""

    departures: torch.Tensor  # fields less their forced response, (batch, fields, nlat, nlon)
    harmonics: torch.Tensor  # of these and of the forcing, complex (batch, fields + forcings, harmonics)
    coarse: torch.Tensor  # both on the latent grid
    month: torch.Tensor  # (batch,), 1..12


class Conditions(NamedTuple):
    """What a month's forcing and season give to the networks."""

    fine: torch.Tensor  # on the fields' grid, (batch, n, nlat, nlon), or its harmonics, complex (batch, n, harmonics)
    coarse: torch.Tensor  # on the latent grid, (batch, n, *latent_grid)
    added: torch.Tensor | None  # to what is decoded: forced response less offset, (batch, fields, nlat, nlon), or none
    uniform: torch.Tensor | None = None  # mean SST anomaly over the sea (batch, 1), or none

    def first(self, batch: int) -> "Conditions":
        """Return the conditions of the first `batch` months."""
        added, uniform = (None if values is None else values[:batch] for values in (self.added, self.uniform))
        return Conditions(self.fine[:batch], self.coarse[:batch], added, uniform)


class MonthlyDiffusion(nn.Module):
    """The whole model, on normalized fields; batch first everywhere.

    Shapes: fields (batch, fields, nlat, nlon); forcing (batch, forcings, nlat, nlon); month (batch,) or (batch, 1),
    1..12; latents (batch, latent_channels, nlat // squeeze, nlon // squeeze); statics (statics, nlat, nlon).

    Args:
        config: sizes and choices.
        fields: number of fields.
        forcings: number of forcings.
        statics: constant maps that encoder and decoder see.
        channel_map: for each input of the encoder (fields, forcings, season maps, statics) the index of its variable
            and of its level, shape (inputs, 2), integers.
    """

    climate_offset: torch.Tensor
    statics: torch.Tensor
    statics_coarse: torch.Tensor
    statics_smooth: torch.Tensor
    statics_harmonics: torch.Tensor

    def __init__(
        self, config: ModelConfig, fields: int, forcings: int, statics: torch.Tensor, channel_map: torch.Tensor
    ):
        super().__init__()
        self.config = config
        self.fields, self.forcings = fields, forcings
        self.grid = Grid(*statics.shape[-2:])
        self.latent_grid = self.grid.coarsened(config.squeeze)
        latent, conditions = config.latent_channels, forcings + config.season_maps
        if min(self.latent_grid) < 4:
            raise ValueError(
                f"model.squeeze {config.squeeze} leaves a {self.latent_grid.nlat}x{self.latent_grid.nlon} grid of the "
                f"{self.grid.nlat}x{self.grid.nlon} fields; choose one that leaves at least 4 rows."
            )

        self.season = SeasonEmbedding(config.season_bases, config.season_maps, self.grid)
        self.time = TimeEmbedding(config.time_maps)
        self.embedding = ChannelEmbedding(channel_map)
        self.encoder = ConditionalBlock(
            fields + conditions + len(statics),
            2 * latent,
            config.encoder_rank,
            conditions,
            self.grid,
            self.latent_grid,
            config,
            "encoder",
        )
        self.decoder = ConditionalBlock(
            latent + conditions + len(statics),
            fields,
            config.decoder_rank,
            conditions,
            self.latent_grid,
            self.grid,
            config,
            "decoder",
        )
        denoiser_conditions = latent + conditions + config.time_maps
        self.denoiser = ConditionalBlock(
            latent + denoiser_conditions,
            latent,
            config.denoiser_rank,
            denoiser_conditions,
            self.latent_grid,
            self.latent_grid,
            config,
            "denoiser",
        )
        self.diffusion = Diffusion(config.diffusion_steps)
        self.forced = ForcedResponse(config.forced_modes, fields, forcings, self.grid) if config.forced_modes else None
        # What the networks add to the mean of each calendar month; measured when training ends.
        self.register_buffer("climate_offset", torch.zeros(12, fields, *self.grid))
        # What the decoder does not give; measured with the offset.
        self.residual = ResidualNoise(fields, self.grid) if config.residual_noise else None
        # Latents are standardized by one learned mean and log-sigma before diffusion.
        self.latent_mean = nn.Parameter(torch.zeros(1))
        self.latent_log_sigma = nn.Parameter(torch.zeros(1))
        self.latents = LatentStatistics(config.noise_modes, self.latent_shape) if config.noise_modes else None

        self.coarsen = Resample(self.grid, self.latent_grid, config.truncation)
        self.register_buffer("statics", statics)
        self.register_buffer("statics_coarse", self.coarsen(statics), persistent=False)
        self.register_buffer("statics_smooth", self.decoder.resample(self.statics_coarse), persistent=False)
        self.register_buffer("statics_harmonics", self.encoder.spectral.harmonics(statics[None]), persistent=False)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """The shape of one latent: (channels, nlat, nlon)."""
        return (self.config.latent_channels, *self.latent_grid)

    def inputs(self, fields: torch.Tensor, forcing: torch.Tensor, month: torch.Tensor) -> MonthInputs:
        """Return what the encoder takes of months of data."""
        month = month.reshape(len(forcing))
        forcing, response = self.split_forced(forcing, month)
        departures = fields if response is None else fields - response
        maps = torch.cat([departures, forcing], dim=1)
        return MonthInputs(departures, self.encoder.spectral.harmonics(maps), self.coarsen(maps), month)

    def split_forced(self, forcing: torch.Tensor, month: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the forcing as the networks see it, and the fields' response to it if that is modelled."""
        if self.forced is None:
            return forcing, None
        return self.forced.respond(forcing, month)

    def departures(self, fields: torch.Tensor, forcing: torch.Tensor, month: torch.Tensor) -> torch.Tensor:
        """Return `fields` less their response to a month's forcing, all of them where that is not modelled."""
        _, response = self.split_forced(forcing, month)
        return fields if response is None else fields - response

    def conditions(self, forcing: torch.Tensor, month: torch.Tensor) -> Conditions:
        """Return the conditions of a month, for the methods whose names end in `_given`."""
        month = month.reshape(len(forcing))
        offset = self.climate_offset[month.long() - 1]
        if self.forced is None:
            seen, added, uniform = forcing, -offset, None
        else:
            seen, amplitudes = self.forced.split(forcing, month)
            added, uniform = self.forced(seen, amplitudes, month) - offset, amplitudes[:, :1]
        fine = torch.cat([seen, self.season(month)], dim=1)
        return Conditions(fine, self.coarsen(fine), added, uniform)

    def conditions_of(self, inputs: MonthInputs) -> Conditions:
        """Return the conditions of months of data, by harmonics, and without what decoding adds."""
        weights, basis = self.season.weights(inputs.month), self.season.basis
        season = torch.tensordot(weights, torch.view_as_real(self.encoder.spectral.harmonics(basis)), dims=1)
        coarse = torch.tensordot(weights, self.coarsen(basis), dims=1)
        return Conditions(
            torch.cat([inputs.harmonics[:, self.fields :], torch.view_as_complex(season)], dim=1),
            torch.cat([inputs.coarse[:, self.fields :], coarse], dim=1),
            None,
        )

    def encode(self, fields, forcing, month) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log-variance of the posterior of the latent, each (batch, *latent_shape)."""
        inputs = self.inputs(fields, forcing, month)
        return self.encode_given(inputs, self.conditions_of(inputs))

    def encode_given(self, inputs: MonthInputs, given: Conditions) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode months of data with their `conditions_of` at hand."""
        parts = [inputs.harmonics, given.fine[:, self.forcings :], self.statics_harmonics]
        residual = [inputs.coarse[:, : self.fields], given.coarse, self.statics_coarse[None]]
        return self.encoder(parts, given.coarse, residual, self.embedding()).chunk(2, dim=1)

    def decode(self, latent, forcing, month) -> torch.Tensor:
        """Return the fields (batch, fields, nlat, nlon) of a latent in the month of its forcing."""
        return self.decode_given(latent, self.conditions(forcing, month))

    def decode_given(self, latent: torch.Tensor, given: Conditions) -> torch.Tensor:
        """Decode with the month's conditions at hand; of `conditions_of`, what departs from the forced response."""
        parts = [latent, given.coarse, self.statics_coarse[None]]
        resample = self.decoder.resample
        residual = [resample(latent), resample(given.coarse), self.statics_smooth[None]]
        departures = self.decoder(parts, given.fine, residual)
        return departures if given.added is None else departures + given.added

    def denoise(self, noisy, state, forcing, month, step) -> torch.Tensor:
        """Return v, (batch, *latent_shape), of the next month's noisy standardized latent.

        Args:
            noisy: standardized next latent less `predict` of the state, with noise, (batch, *latent_shape).
            state: latent of this month as `encode` or `sample_next` give it, (batch, *latent_shape).
            forcing: forcing of this month.
            month: this month.
            step: diffusion time as a fraction of T, (batch,) or (batch, 1), in (0, 1]; n / T for step n of T.
        """
        return self.denoise_given(noisy, self.standardize(state), self.conditions(forcing, month).coarse, step)

    def denoise_given(self, noisy, state, coarse, time) -> torch.Tensor:
        """Denoise with the standardized state and the month's coarse conditions at hand."""
        maps = self.time(time.reshape(len(noisy)))[:, :, None, None].expand(-1, -1, *self.latent_grid)
        given = torch.cat([self.seen(state), coarse, maps], dim=1)
        return self.denoiser([noisy, given], given, [noisy, given])

    def sample_next(self, state, forcing, month, noise=None, generator=None) -> torch.Tensor:
        """Return a draw of the next month's latent, (batch, *latent_shape).

        Args:
            state: latent of this month, (batch, *latent_shape).
            forcing: forcing of this month.
            month: this month.
            noise: standard normal numbers (draws, batch, *latent_shape): the start and, for the ancestral sampler,
                one draw per later step. Drawn from `generator` if None.
            generator: the source of the noise; torch's default if None.
        """
        if noise is None:
            shape = (self.draws, len(state), *self.latent_shape)
            device = state.device if generator is None else generator.device
            noise = torch.randn(shape, generator=generator, device=device).to(state.device)
        month = month.reshape(len(state))
        return self.sample_given(state, self.conditions(forcing, month).coarse, month % 12 + 1, noise)

    def sample_given(self, state, coarse, following, noise) -> torch.Tensor:
        """Sample with the month's coarse conditions, the number of the month that follows and the noise at hand."""
        standard, times = self.standardize(state), self.sampler_times()
        return self.sample_by(
            lambda x, number: self.denoise_given(x, standard, coarse, times[number].expand(len(x))),
            standard,
            self.color(noise, following),
        )

    def sample_by(self, velocity, standard: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the latent that the config's sampler makes of `noise` as `color` gives it, after the `standard` state.

        `velocity(x, number)` stands in for `denoise` at the time of that number of `sampler_times`.
        """
        if self.config.sampler == "ancestral":
            sample = self.diffusion.ancestral(velocity, noise)
        else:
            sample = self.diffusion.second_order(velocity, noise[0], self.config.evaluations)
        if self.latents is not None:
            sample = sample + self.latents.slow(self.at_rest(noise) - sample)
        return self.unstandardize(sample + self.predict(standard))

    def at_rest(self, noise: torch.Tensor) -> torch.Tensor:
        """Return what the config's sampler makes of `noise` (draws, batch, *latent_shape) with v = 0."""
        if self.config.sampler == "ancestral":
            return self.diffusion.ancestral(lambda x, _: torch.zeros_like(x), noise)
        return noise[0]

    def seen(self, standard: torch.Tensor) -> torch.Tensor:
        """Return what the denoiser sees of a standardized state: all but its slow modes."""
        return standard if self.latents is None else standard - self.latents.slow(standard)

    def sampler_times(self) -> torch.Tensor:
        """Return the diffusion times (n,) at which the config's sampler evaluates the denoiser, in order."""
        if self.config.sampler == "ancestral":
            return self.diffusion.step_times()
        return self.diffusion.time(self.diffusion.angles(self.config.evaluations)[:-1])

    @property
    def draws(self) -> int:
        """How many draws of noise one sample takes."""
        return self.config.diffusion_steps if self.config.sampler == "ancestral" else 1

    def color(self, noise: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Return the noise of the diffusion (..., *latent_shape) of white noise for latents of months `following`."""
        return noise if self.latents is None else self.latents.color(noise, following)

    def predict(self, standard: torch.Tensor) -> torch.Tensor | float:
        """Return what linear memory gives for the month after a standardized state; the diffusion is of the rest."""
        return 0.0 if self.latents is None else self.latents.predict(standard)

    def standardize(self, latent: torch.Tensor) -> torch.Tensor:
        """Return the latent as the diffusion sees it."""
        standard = (latent - self.latent_mean) * torch.exp(-self.latent_log_sigma)
        return standard if self.latents is None else standard - self.latents.mean

    def unstandardize(self, latent: torch.Tensor) -> torch.Tensor:
        """Undo `standardize`."""
        latent = latent if self.latents is None else latent + self.latents.mean
        return latent * torch.exp(self.latent_log_sigma) + self.latent_mean

    @torch.no_grad()
    def fit_latents(self, latents: torch.Tensor, months: torch.Tensor) -> None:
        """Measure the statistics of `latents` (time, *latent_shape) of `months` (time,), where the config has them.

        The latents are scaled in place: all months of them are large.
        """
        if self.latents is not None:
            scaled = latents.sub_(self.latent_mean).mul_(torch.exp(-self.latent_log_sigma))
            self.latents.fit(scaled, months)
