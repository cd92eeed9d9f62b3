"""Standard normals of an ensemble from a counter: each depends on its key and its place alone.

Philox4x32-10 (Salmon et al. 2011, doi:10.1145/2063384.2063405) makes four 32-bit words of a counter of four words and
a key of two. It has no state: the noise of a member's month is the same whatever was drawn before, in whatever order,
block of members or piece of a run, and on every device. What is keyed:

    key = numpy's SeedSequence of the seed, spawned for (stream, stage);  counter = (block, member, month, experiment)

The words (a, b) of a block, and (c, d) likewise, give two normals r cos t and r sin t (Box and Muller 1958), where
r = sqrt(-2 log u) with u = (a + 1/2) / 2^32 rounded to float32 in (0, 1], and t = 2 pi b / 2^32: none is beyond 6.77.
The words are integers and equal everywhere; logarithm, sine and cosine of a device are right to a few units of their
last place, and so are the normals.

numpy computes on a CPU, where it takes half of torch's time, and torch on other devices, by the same lines.
"""

import functools
import math
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

# Streams, the kinds of runs: what is judged or calibrated with is not what is submitted. New ones come last.
SUBMISSION, VALIDATION_RUN, LONG_RUN, CALIBRATION = range(4)
# Stages, what the noise is for in a month. New ones come last.
INITIAL, DIFFUSION, *RESIDUAL_STAGES = range(4)

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # added to the key after each round
ROUNDS = 10
WORD = 0xFFFFFFFF
CPU_TILE, TILE = 1 << 15, 1 << 22  # blocks at a time: in a CPU's cache, and not all of a device's memory

Array = Any  # a tensor, or an array of numpy


class Key(NamedTuple):
    """What the noise depends on."""

    seed: int  # any, from 0 on
    stream: int  # SUBMISSION, VALIDATION_RUN, ...
    stage: int  # INITIAL, DIFFUSION, ...
    member: int  # from 0 on
    month: int  # as `month_number` counts them
    experiment: int = 0  # as `experiment_number` has them; 0: what all experiments share, and the control


def month_number(year: int, month: int) -> int:
    """Return the number of the months from January of the year 0 to a month, 1 to 12, of a year."""
    return 12 * year + month - 1


def experiment_number(name: str, control: str) -> int:
    """Return the number of an experiment: 0 of the control, else the CRC-32 of its name, held above 0."""
    return 0 if name == control else max(1, zlib.crc32(name.encode()))


def normals(key: Key, shape: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the standard normals of a key, float32 of `shape`, on the device.

    Raises:
        ValueError: the seed is negative, member, month or experiment are no words of 32 bits, or `shape` asks for more
            than 2^34 numbers.
    """
    return normals_of([key], shape, device)[0]


def normals_of(keys: Sequence[Key], shape: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return standard normals (keys, *shape), of each key what `normals` gives, drawn together.

    Raises:
        ValueError: as `normals`.
    """
    count, device = math.prod(shape), torch.device(device)
    blocks = -(-count // 4)
    if blocks > WORD + 1:
        raise ValueError(f"the noise of a key has at most {4 * (WORD + 1)} numbers; {tuple(shape)} are {count}.")
    out = torch.empty(len(keys), 4, blocks, device=device)
    words = np.array([_words(key) for key in keys], np.int64).reshape(-1, 5, 1)
    if device.type == "cpu":
        fill(np, words, out.numpy(), CPU_TILE)
    else:
        fill(torch, torch.from_numpy(words).to(device), out, TILE)
    return out.flatten(1)[:, :count].reshape(len(keys), *shape)


def _words(key: Key) -> list[int]:
    """Return Philox's key, two words, and those of member, month and experiment."""
    for name in ("member", "month", "experiment"):
        if not 0 <= getattr(key, name) <= WORD:
            raise ValueError(f"the {name} of noise is {getattr(key, name)}; it must be from 0 to {WORD}.")
    return [*_philox_key(key.seed, key.stream, key.stage), key.member, key.month, key.experiment]


@functools.lru_cache(maxsize=64)
def _philox_key(seed: int, stream: int, stage: int) -> tuple[int, int]:
    """Return two words that are others for any other seed, stream or stage."""
    if seed < 0:
        raise ValueError(f"the seed of noise is {seed}; it must be 0 or more.")
    # Not SeedSequence((seed, stream, stage)): a seed of more than one word would run into the stream's.
    low, high = np.random.SeedSequence(seed, spawn_key=(stream, stage)).generate_state(2, np.uint32)
    return int(low), int(high)


def fill(xp, words: Array, out: Array, tile: int) -> None:
    """Write the normals (keys, 4, blocks) of keys, `tile` blocks at a time.

    Args:
        xp: numpy or torch, of whose arrays the others are.
        words: of each key Philox's two, then member, month and experiment, int64 (keys, 5, 1).
        out: float32.
        tile: how many blocks.
    """
    keys, _, blocks = out.shape
    together = max(1, tile // max(1, blocks))
    for first in range(0, keys, together):
        some = slice(first, first + together)
        key0, key1, member, month, experiment = (words[some, number] for number in range(5))
        for start in range(0, blocks, tile):
            block = xp.arange(start, min(blocks, start + tile), dtype=xp.int64, device=words.device)[None]
            drawn = philox((block, member, month, experiment), (key0, key1))
            box_muller(xp, drawn, out[some, :, start : start + tile])


def philox(counter: Sequence[Array], key: Sequence[Array]) -> tuple[Array, ...]:
    """Return the four words of Philox4x32-10, from 0 to 2^32 - 1, of the broadcast shape of the counters.

    Args:
        counter: four arrays of words, int64.
        key: two of them, whose shapes broadcast to each counter's.
    """
    word0, word1, word2, word3 = counter
    key0, key1 = key
    for number in range(ROUNDS):
        if number:
            key0, key1 = (key0 + WEYL[0]) & WORD, (key1 + WEYL[1]) & WORD
        # Products of 64 bits wrap around the sign. Their low words are left in them: only those bits are looked at.
        product0, product1 = word0 * MULTIPLIERS[0], word2 * MULTIPLIERS[1]
        word0, word2 = _mixed(product1, word1, key0), _mixed(product0, word3, key1)
        word1, word3 = product1, product0
    return word0, word1 & WORD, word2, word3 & WORD


def _mixed(product: Array, word: Array, key: Array) -> Array:
    """Return the exclusive or of a product's high word, a word and the key's."""
    mixed = (product >> 32) ^ word
    mixed ^= key
    mixed &= WORD
    return mixed


def box_muller(xp, words: Sequence[Array], out: Array) -> None:
    """Write the normals (keys, 4, blocks) of four words, each (keys, blocks), by numpy or torch."""
    for first in (0, 2):
        radius, angle = (xp.asarray(word, dtype=xp.float32) for word in words[first : first + 2])
        radius += 0.5
        radius *= 2**-32
        radius = xp.log(radius, out=radius)
        radius *= -2
        radius = xp.sqrt(radius, out=radius)
        angle *= 2 * math.pi / 2**32
        xp.multiply(radius, xp.cos(angle), out=out[:, first])
        xp.multiply(radius, xp.sin(angle, out=angle), out=out[:, first + 1])
