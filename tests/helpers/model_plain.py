"""The networks and the loss written plainly: a transform per sample and per call, no reuse, no separation.

Slow on purpose: the truth for the tests of model/ and the measure for `python -m model.benchmark`. It takes the
parameters of a MonthlyDiffusion and nothing else of it.
"""

from functools import cache

import torch
import torch_harmonics
from torch.nn import functional


def kept(grid, kind):
    nlat, nlon = grid
    if kind == "published":
        return nlat, min(nlon // 2 + 1, nlat)
    lmax = (nlat + 1) // 2
    return lmax, min(lmax, (nlon + 1) // 2)


@cache
def forward_transform(grid, keep):
    return torch_harmonics.RealSHT(*grid, lmax=keep[0], mmax=keep[1], grid="equiangular")


@cache
def inverse_transform(grid, keep):
    return torch_harmonics.InverseRealSHT(*grid, lmax=keep[0], mmax=keep[1], grid="equiangular")


def low_rank(operator, u, target, kind):
    source = tuple(u.shape[-2:])
    inner = kept(source, kind)
    outer = inner if kind == "published" else kept(target, kind)
    spectrum = forward_transform(source, inner).to(u.device)(u)
    inner_products = torch.einsum("rlm,bilm->bri", operator.B, spectrum)
    scores = (inner_products * operator.W_in).sum(-1)
    out = torch.einsum("bor,rlm->bolm", operator.W_out * scores[:, None], operator.A)
    return inverse_transform(target, outer).to(u.device)(out)


def resample(u, target, kind):
    source = tuple(u.shape[-2:])
    if source == target:
        return u
    keep = kept(source, kind)
    if kind == "alias_free":
        keep = tuple(map(min, keep, kept(target, kind)))
    return inverse_transform(target, keep).to(u.device)(forward_transform(source, keep).to(u.device)(u))


def row_area(nlat):
    lat = torch.linspace(-90, 90, nlat, dtype=torch.float64)
    half = 90 / (nlat - 1)
    area = torch.sin(torch.deg2rad((lat + half).clamp(max=90))) - torch.sin(torch.deg2rad((lat - half).clamp(min=-90)))
    return (area / area.mean()).float()[:, None]


def norm(layer, x, conditions, kind, area_weighted):
    target = tuple(x.shape[-2:])
    hidden = torch.relu(low_rank(layer.first, conditions, target, kind))
    gamma, beta = low_rank(layer.second, hidden, target, kind).chunk(2, dim=1)
    if layer.calibrated:
        size = layer.scale
    else:
        weight = row_area(target[0]) if area_weighted else 1.0
        size = torch.sqrt((x**2 * weight).mean(dim=(1, 2, 3), keepdim=True)) + 1e-8
    return x / size * (layer.weight[:, None, None] * gamma + 1) + (layer.bias[:, None, None] + beta)


def block(layer, u, conditions, target, config):
    kind, weighted = config.truncation, config.area_weighted
    y = functional.gelu(low_rank(layer.spectral, u, target, kind))
    y = norm(layer.norm1, y, conditions, kind, weighted)
    y = y + layer.mlp2(functional.gelu(layer.mlp1(resample(u, target, kind))))
    return layer.out(norm(layer.norm2, y, conditions, kind, weighted))


def season(model, month):
    angle = 2 * torch.pi * month.float() / 12
    weights = model.season.mlp(torch.stack([torch.sin(angle), torch.cos(angle)], dim=1))
    return torch.einsum("bk,kcyx->bcyx", weights, model.season.basis)


def smoothed(maps, degree):
    """Damp degree l by exp(-l (l + 1) / (n (n + 1))), with less than n on a coarse grid, whose degrees are few."""
    nlat, nlon = maps.shape[-2:]
    lmax = (nlat + 1) // 2
    degree = min(degree, lmax / 1.75)
    sizes = {"lmax": lmax, "mmax": min(lmax, (nlon + 1) // 2), "grid": "equiangular"}
    spectrum = torch_harmonics.RealSHT(nlat, nlon, **sizes)(maps.double())
    degrees = torch.arange(lmax)[:, None]
    damped = spectrum * torch.exp(-degrees * (degrees + 1) / (degree * (degree + 1)))
    return torch_harmonics.InverseRealSHT(nlat, nlon, **sizes)(damped).float()


def conditions(model, forcing, month):
    month = month.reshape(-1)
    response = 0.0
    if model.forced is not None:
        forced = model.forced
        given, anomaly = forcing, (forcing - forced.climatology[month.long() - 1]) / forced.spread
        amplitude = torch.einsum("byx,kyx->bk", anomaly[:, 0], forced.patterns)
        response = torch.einsum("bk,kcyx->bcyx", amplitude, forced.response)
        sst = anomaly[:, 0] - amplitude[:, 0, None, None] * forced.sea
        forcing = torch.cat([sst[:, None], anomaly[:, 1:]], dim=1)
        near = smoothed(sst, 12) / smoothed(forced.sea, 12).clamp(min=0.05)
        angle = 2 * torch.pi * month.reshape(-1).double() / 12
        waves = torch.stack([angle.cos(), angle.sin()]).to(sst)
        response = response + torch.einsum("wb,bk,wkcyx->bcyx", waves, amplitude[:, 1:], forced.seasonal)
        year = torch.cat([torch.ones_like(waves[:1]), waves])
        places = torch.cat([near[:, None], forcing], dim=1)
        local, bends = forced.local.split([3 * places.shape[1], len(forced.thresholds)])
        response = response + torch.einsum("wb,bjyx,wjcyx->bcyx", year, places, local.unflatten(0, (3, -1)))
        relative = given[:, 0] - (given[:, 0] * forced.tropics).sum((1, 2))[:, None, None]
        excess = torch.stack([functional.relu(relative - bound) for bound in forced.thresholds], dim=1) * forced.sea
        excess = (excess - forced.usual_excess[month.long() - 1]) / forced.spread[0]
        response = response + torch.einsum("bjyx,jcyx->bcyx", excess, bends)
    return torch.cat([forcing, season(model, month)], dim=1), response


def encode(model, fields, forcing, month):
    fine, response = conditions(model, forcing, month)
    kind, coarse_grid = model.config.truncation, tuple(model.latent_grid)
    u = torch.cat([fields - response, fine, model.statics.expand(len(fields), -1, -1, -1)], dim=1)
    variable, level = model.embedding.channel_map.T
    offset = model.embedding.projection(model.embedding.variable[variable] + model.embedding.level[level])
    u = u + offset[None, :, :, None]
    return block(model.encoder, u, resample(fine, coarse_grid, kind), coarse_grid, model.config).chunk(2, dim=1)


def decode(model, latent, forcing, month):
    fine, response = conditions(model, forcing, month)
    kind, coarse_grid = model.config.truncation, tuple(model.latent_grid)
    statics = resample(model.statics, coarse_grid, kind).expand(len(latent), -1, -1, -1)
    u = torch.cat([latent, resample(fine, coarse_grid, kind), statics], dim=1)
    departures = block(model.decoder, u, fine, tuple(model.grid), model.config)
    return departures + response - model.climate_offset[month.reshape(-1).long() - 1]


def standardize(model, latent):
    standard = (latent - model.latent_mean) / torch.exp(model.latent_log_sigma)
    return standard if model.latents is None else standard - model.latents.mean


def predict(model, standard):
    if model.latents is None:
        return 0.0
    memory = torch.einsum("kd,ke->de", model.latents.memory_from, model.latents.memory_to)
    return torch.einsum("de,bd->be", memory, standard.flatten(1)).view_as(standard)


def slow(model, standard):
    if model.latents is None:
        return torch.zeros_like(standard)
    taken = model.latents.memory_from[: len(model.latents.slow_to)]
    projector = torch.einsum("kd,ke->de", taken, model.latents.slow_to)
    return torch.einsum("de,bd->be", projector, standard.flatten(1)).view_as(standard)


def color(model, white, following):
    if model.latents is None:
        return white
    patterns, place = model.latents.patterns, following.reshape(-1).long() - 1
    gain, rest = model.latents.gain[place], model.latents.rest[place]
    root = torch.einsum("b,de->bde", rest, torch.eye(patterns.shape[1]))
    root = root + torch.einsum("kd,bk,ke->bde", patterns, gain, patterns)
    colored = torch.einsum("bde,be->bd", root, white.flatten(1))
    amplitudes = torch.einsum("kd,bd->bk", model.latents.memory_from[: len(model.latents.slow_to)], colored)
    lacking = torch.einsum("bk,kj,je->be", amplitudes, model.latents.slow_noise, model.latents.slow_to)
    return (colored + lacking).view_as(white)


def denoise(model, noisy, state, forcing, month, time):
    fine, _ = conditions(model, forcing, month)
    coarse = resample(fine, tuple(model.latent_grid), model.config.truncation)
    frequencies = torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(16) / 15)
    angle = time.reshape(-1, 1) * frequencies
    maps = model.time.mlp(torch.cat([torch.sin(angle), torch.cos(angle)], dim=1))
    maps = maps[:, :, None, None].expand(-1, -1, *model.latent_grid)
    standard = standardize(model, state)
    given = torch.cat([standard - slow(model, standard), coarse, maps], dim=1)
    return block(model.denoiser, torch.cat([noisy, given], dim=1), given, tuple(model.latent_grid), model.config)


def sample_ancestral(model, state, forcing, month, noise):
    """The published sampler, written from its formula with the schedule computed anew."""
    steps = model.config.diffusion_steps
    clean = torch.cos((torch.arange(steps + 1).double() / steps + 0.008) / 1.008 * torch.pi / 2) ** 2
    beta = (1 - clean[1:] / clean[:-1]).clamp(1e-12, 0.999)
    bars = torch.cumprod(1 - beta, 0).float()
    beta = beta.float()
    x = noise[0]
    for step in range(steps, 0, -1):
        bar, previous = bars[step - 1], bars[step - 2] if step > 1 else torch.tensor(1.0)
        v = denoise(model, x, state, forcing, month, torch.full((len(x), 1), step / steps))
        eps = bar.sqrt() * v + (1 - bar).sqrt() * x
        x = (x - beta[step - 1] / (1 - bar).sqrt() * eps) / (1 - beta[step - 1]).sqrt()
        if step > 1:
            x = x + (beta[step - 1] * (1 - previous) / (1 - bar)).sqrt() * noise[steps - step + 1]
    return x * torch.exp(model.latent_log_sigma) + model.latent_mean


def loss_terms(model, pairs, noise, config):
    """The terms of model.loss.loss_terms, each computed by itself."""
    mean, log_variance = encode(model, pairs.fields, pairs.forcing, pairs.month)
    next_mean, _ = encode(model, pairs.next_fields, pairs.next_forcing, pairs.next_month)
    latent = mean + torch.exp(log_variance / 2) * noise["posterior"]
    fine, coarse = row_area(model.grid[0]), row_area(model.latent_grid[0])
    if not model.config.area_weighted:
        fine, coarse = torch.ones_like(fine), torch.ones_like(coarse)
    steps = model.config.diffusion_steps
    if config.times == "continuous":
        # Angles uniform below that of alpha_bar(T); the cosine schedule gives the time of an angle.
        phi = (1 - noise["time"]) * torch.acos(model.diffusion.alpha_bar[-1].sqrt())
        start = torch.tensor(0.008 / 1.008 * torch.pi / 2)
        time = torch.acos(torch.cos(phi) * torch.cos(start)) * 1.008 * 2 / torch.pi - 0.008
        time = time.clamp(0, 1)
    else:
        step = (noise["time"] * steps).long()
        time, phi = (step + 1) / steps, torch.acos(model.diffusion.alpha_bar[step].sqrt())
    cos, sin = torch.cos(phi)[:, None, None, None], torch.sin(phi)[:, None, None, None]
    following = predict(model, standardize(model, latent))
    clean = standardize(model, next_mean) - following
    colored = color(model, noise["diffusion"], pairs.next_month)
    clean = clean.detach() if config.detach_target else clean
    noisy = cos * clean + sin * colored
    v = denoise(model, noisy, latent, pairs.forcing, pairs.month, time)
    terms = {
        "reconstruction": ((decode(model, latent, pairs.forcing, pairs.month) - pairs.fields) ** 2 * fine).mean(),
        "diffusion": ((v - (cos * colored - sin * clean)) ** 2 * coarse).mean(),
        "kl": (0.5 * (mean**2 + torch.exp(log_variance) - 1 - log_variance) * coarse).mean(),
    }
    average = (mean.detach() * coarse).mean()
    deviation = torch.sqrt(((mean.detach() - average) ** 2 * coarse).mean())
    terms["latent"] = ((model.latent_mean - average) ** 2 + (torch.exp(model.latent_log_sigma) - deviation) ** 2).sum()
    if config.predicted_weight:
        denoised = cos * noisy - sin * v + following
        if model.latents is not None:
            denoised = denoised + model.latents.mean
        denoised = denoised * torch.exp(model.latent_log_sigma) + model.latent_mean
        predicted = decode(model, denoised, pairs.next_forcing, pairs.next_month)
        terms["predicted"] = (cos**2 * (predicted - pairs.next_fields) ** 2 * fine).mean()
    return terms
