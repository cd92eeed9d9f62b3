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
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

# Streams, the kinds of runs: what is judged or calibrated with is not what is submitted. New ones come last.
SUBMISSION, VALIDATION_RUN, LONG_RUN, CALIBRATION = range(4)
# Stages, what the noise is for in a month. New ones come last.
INITIAL, DIFFUSION, *RESIDUAL_STAGES = range(5)

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # added to the key after each round
ROUNDS = 10
WORD = 0xFFFFFFFF
CPU_TILE, TILE = 1 << 14, 1 << 24  # blocks at a time: in a CPU's cache, and not all of a device's memory

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


def normals_of(keys: Sequence[Key], shape: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the standard normals of each key, float32 (keys, *shape), on the device; each as if it were alone.

    Raises:
        ValueError: the seed is negative, member, month or experiment are no words of 32 bits, or `shape` asks for more
            than 2^34 numbers.
    """
    count, device = math.prod(shape), torch.device(device)
    out = torch.empty(len(keys), 4, blocks_of(shape), device=device)
    words = np.array([_words(key) for key in keys], np.int64).reshape(-1, 5, 1)
    if device.type == "cpu":
        fill(np, words, out.numpy(), CPU_TILE)
    else:
        fill(torch, torch.from_numpy(words).to(device), out, TILE)
    return out.flatten(1)[:, :count].reshape(len(keys), *shape)


def blocks_of(shape: Sequence[int]) -> int:
    """Return how many blocks of four numbers an array takes; more than the counter has are refused."""
    count = math.prod(shape)
    if -(-count // 4) > WORD + 1:
        raise ValueError(f"the noise of a key has at most {4 * (WORD + 1)} numbers; {tuple(shape)} are {count}.")
    return -(-count // 4)


class MonthlyNoise:
    """White noise of a block of members, month after month; on a GPU of all stages and members in one pass.

    Args:
        key: of any member and month; its seed, stream and experiment count.
        shapes: of the noise of each stage.
        members: their numbers; -n has the normals of n with the other sign, n from 1 on.
        device: to draw on.
        joined: whether all is drawn in one pass, by torch; None: everywhere but on a CPU, whose cache holds no pass.
    """

    def __init__(
        self,
        key: Key,
        shapes: Mapping[int, Sequence[int]],
        members: Sequence[int],
        device: torch.device,
        joined: bool | None = None,
    ):
        self.key, self.shapes, self.device = key, dict(shapes), device
        self.members = [abs(member) for member in members]
        signs = [-1.0 if member < 0 else 1.0 for member in members]
        self.signs = torch.tensor(signs, device=device) if -1.0 in signs else None
        self.joined = device.type != "cpu" if joined is None else joined
        if not self.joined:
            return
        # One counter after the other: the blocks of the first stage, of the second ...
        self.blocks = [blocks_of(shape) for shape in self.shapes.values()]
        keys = [_philox_key(key.seed, key.stream, stage) for stage in self.shapes]
        words = np.repeat(np.array(keys, np.int64).T, self.blocks, axis=1)[:, None]
        block = np.concatenate([np.arange(count, dtype=np.int64) for count in self.blocks])
        known = np.array([_words(key._replace(member=member))[2::2] for member in self.members], np.int64)
        self.words, self.block, self.known = (
            torch.from_numpy(values).to(device) for values in (words, block, known.T[:, :, None].copy())
        )

    def __call__(self, months: torch.Tensor) -> list[torch.Tensor]:
        """Return the normals (months, members, *shape) of each stage.

        months: as `month_number` counts them, (months,), int64, on the device.
        """
        drawn = self._drawn_together(months) if self.joined else self._drawn_apart(months.tolist())
        if self.signs is None:
            return drawn
        return [values * self.signs.view(-1, *[1] * (values.ndim - 2)) for values in drawn]

    def _drawn_together(self, months: torch.Tensor) -> list[torch.Tensor]:
        keys, blocks = len(months) * len(self.members), len(self.block)
        month = months.repeat_interleave(len(self.members), output_size=keys)[:, None]
        odd = self.known.repeat(1, len(months), 1)
        out = torch.empty(keys, 4, blocks, device=self.device)
        together = max(1, TILE // max(1, blocks))
        for first in range(0, keys, together):
            some = slice(first, first + together)
            even = paired(torch, self.block, month[some])
            box_muller(torch, *philox(torch, even, odd[:, some], self.words), out[some])
        shares = zip(out.split(self.blocks, dim=2), self.shapes.values(), strict=True)
        lead = len(months), len(self.members)
        return [share.flatten(1)[:, : math.prod(shape)].reshape(*lead, *shape) for share, shape in shares]

    def _drawn_apart(self, months: list[int]) -> list[torch.Tensor]:
        keys = [self.key._replace(member=each, month=month) for month in months for each in self.members]
        return [
            normals_of([key._replace(stage=stage) for key in keys], shape).unflatten(0, (len(months), -1))
            for stage, shape in self.shapes.items()
        ]


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
        key, odd = (words[some, places].swapaxes(0, 1) for places in (slice(0, 2), slice(2, 5, 2)))
        for start in range(0, blocks, tile):
            block = xp.arange(start, min(blocks, start + tile), dtype=xp.int64, device=words.device)
            even = paired(xp, block, words[some, 3])
            box_muller(xp, *philox(xp, even, odd, key), out[some, :, start : start + tile])


def paired(xp, block: Array, month: Array) -> Array:
    """Return the first and third word of the counters (2, keys, blocks) of `block` (blocks,) and `month` (keys, 1)."""
    even = xp.empty((2, len(month), len(block)), dtype=xp.int64, device=block.device)
    even[0], even[1] = block, month
    return even


@functools.lru_cache(maxsize=16)
def _pair(xp, words: tuple[int, int], device) -> Array:
    """Return two words for the two halves of `philox`, (2, 1, 1), kept: a GPU waits for what comes from the host."""
    return xp.asarray(words, dtype=xp.int64, device=device).reshape(2, 1, 1)


def philox(xp, even: Array, odd: Array, key: Array) -> tuple[Array, Array]:
    """Return the four words of Philox4x32-10, from 0 to 2^32 - 1: first and third, then second and fourth.

    Args:
        xp: numpy or torch, of whose arrays, int64, the others are.
        even: first and third word of the counters, (2, keys, blocks).
        odd: second and fourth, of a shape that broadcasts to that.
        key: its two words, likewise.
    """
    multipliers, weyl = (_pair(xp, words, even.device) for words in (MULTIPLIERS, WEYL))
    for number in range(ROUNDS):
        if number:
            key = key + weyl
        # Products of 64 bits wrap around the sign. Their low words are left in them: only those bits are looked at.
        product = xp.flip(even * multipliers, (0,))
        even = product >> 32
        even ^= odd
        even ^= key
        even &= WORD
        odd = product
    return even, odd & WORD


def box_muller(xp, even: Array, odd: Array, out: Array) -> None:
    """Write the normals (keys, 4, blocks) of the words that `philox` gives, by numpy or torch."""
    radius, angle = (xp.asarray(words, dtype=xp.float32) for words in (even, odd))
    radius += 0.5
    radius *= 2**-32
    radius = xp.log(radius, out=radius)
    radius *= -2
    radius = xp.sqrt(radius, out=radius)
    angle *= 2 * math.pi / 2**32
    xp.multiply(radius, xp.cos(angle), out=out[:, 0::2].swapaxes(0, 1))
    xp.multiply(radius, xp.sin(angle, out=angle), out=out[:, 1::2].swapaxes(0, 1))
