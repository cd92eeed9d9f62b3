"""The noise of an ensemble: the published words of Philox, the normal distribution, and what a number depends on."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from model import noise
from model.noise import (
    CALIBRATION,
    DIFFUSION,
    INITIAL,
    LONG_RUN,
    SUBMISSION,
    VALIDATION_RUN,
    Key,
    MonthlyNoise,
    normals_of,
)

KEY = Key(20260413, SUBMISSION, DIFFUSION, 2, noise.month_number(1978, 10))
# Counter, key and words of Random123's known answers (kat_vectors, philox4x32 10).
PUBLISHED = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def plain_philox(counter, key):
    """The paper's rounds by Python's integers."""
    (a, b, c, d), (first, second) = counter, key
    for _ in range(10):
        left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = right >> 32 ^ b ^ first, right % 2**32, left >> 32 ^ d ^ second, left % 2**32
        first, second = (first + 0x9E3779B9) % 2**32, (second + 0xBB67AE85) % 2**32
    return a, b, c, d


def plain_normals(key, count):
    """Number by number, in double precision but for u: the four normals of a block lie a quarter of them all apart."""
    blocks = -(-count // 4)
    words = np.random.SeedSequence(key.seed, spawn_key=(key.stream, key.stage)).generate_state(2).tolist()
    found = np.empty((4, blocks))
    for block in range(blocks):
        a, b, c, d = plain_philox((block, key.member, key.month, key.experiment), words)
        for first, (size, turn) in enumerate([(a, b), (c, d)]):
            u = (np.float32(size) + np.float32(0.5)) / 2**32
            radius, angle = math.sqrt(-2 * math.log(u)), 2 * math.pi * turn / 2**32
            found[2 * first : 2 * first + 2, block] = radius * math.cos(angle), radius * math.sin(angle)
    return found.ravel()[:count]


def words(xp, counter, key):
    """The four words (4, n) of counters (4, n) and keys (2, n or 1), by numpy or torch."""
    counter, key = (xp.asarray(np.asarray(each))[:, None] for each in (counter, key))
    even, odd = noise.philox(xp, counter[0::2], counter[1::2], key)
    return np.stack([even[0, 0], odd[0, 0], even[1, 0], odd[1, 0]])


@pytest.mark.parametrize("xp", [np, torch])
@pytest.mark.parametrize(("counter", "key", "wanted"), PUBLISHED)
def test_the_words_are_the_published_ones(xp, counter, key, wanted):
    drawn = words(xp, np.array(counter)[:, None], np.array(key)[:, None])
    assert drawn[:, 0].tolist() == wanted == list(plain_philox(counter, key))


def test_words_of_numpy_torch_and_python_are_equal():
    random = np.random.default_rng(1)
    counter, key = random.integers(2**32, size=(4, 5000)), random.integers(2**32, size=(2, 1))
    found = words(np, counter, key)
    assert np.array_equal(found, words(torch, counter, key))
    wanted = [plain_philox(column, key[:, 0].tolist()) for column in counter.T.tolist()]
    assert np.array_equal(found.T, wanted)


@pytest.mark.parametrize("shape", [(8,), (3, 5, 7), (1,), (2, 0)])
@pytest.mark.parametrize("key", [KEY, Key(2**64 - 1, LONG_RUN, INITIAL, 0, 2**32 - 1), KEY._replace(experiment=3)])
def test_normals_are_those_of_the_formula(key, shape):
    found = normals_of([key], shape)[0]
    assert found.dtype == torch.float32 and found.shape == shape
    assert np.allclose(found.numpy().ravel(), plain_normals(key, math.prod(shape)), rtol=0, atol=2e-6)


def test_torch_as_on_a_gpu_draws_what_numpy_draws():
    words = np.random.default_rng(2).integers(2**32, size=(3, 5, 1))
    ours, theirs = np.empty((3, 4, 10_001), "f4"), torch.empty(3, 4, 10_001)
    noise.fill(np, words, ours, 4096)
    noise.fill(torch, torch.from_numpy(words), theirs, 30_003)
    assert np.abs(ours - theirs.numpy()).max() < 2e-6


@pytest.mark.parametrize("tile", [noise.TILE, 1000, 10])
def test_stages_and_members_drawn_in_one_pass_are_those_drawn_one_by_one(monkeypatch, tile):
    """As a GPU draws them; of more numbers than memory is wanted for, some members after the others."""
    monkeypatch.setattr(noise, "TILE", tile)
    shapes, members, months = {2: (5, 9), 3: (5, 7, 11)}, [1, 2, 7], [KEY.month, KEY.month + 3]
    joined = MonthlyNoise(KEY, shapes, members, torch.device("cpu"), joined=True)(torch.tensor(months))
    assert len(joined) == len(shapes)
    for found, (stage, shape) in zip(joined, shapes.items(), strict=True):
        for place, month in enumerate(months):
            for number, member in enumerate(members):
                alone = normals_of([KEY._replace(stage=stage, member=member, month=month)], shape)[0]
                assert (found[place, number] - alone).abs().max() < 2e-6
    apart = MonthlyNoise(KEY, shapes, members, torch.device("cpu"))(torch.tensor(months))
    assert all((one - other).abs().max() < 2e-6 for one, other in zip(joined, apart, strict=True))


@pytest.mark.parametrize("joined", [True, False])
def test_a_member_below_zero_has_the_noise_of_the_other_with_the_other_sign(joined):
    shapes, months = {2: (5, 9), 3: (4,)}, torch.tensor([KEY.month, KEY.month + 1])
    both = MonthlyNoise(KEY, shapes, [3, -3, 5], torch.device("cpu"), joined=joined)(months)
    alone = MonthlyNoise(KEY, shapes, [3, 5], torch.device("cpu"), joined=joined)(months)
    for found, wanted in zip(both, alone, strict=True):
        assert torch.equal(found[:, [0, 2]], wanted) and torch.equal(found[:, 1], -wanted[:, 0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_what_a_cpu_draws():
    keys = [KEY._replace(member=member) for member in range(3)]
    there = normals_of(keys, (5, 40, 80), "cuda")
    assert there.device.type == "cuda" and (there.cpu() - normals_of(keys, (5, 40, 80))).abs().max() < 2e-6


@pytest.mark.parametrize("xp", [np, torch])
def test_no_word_gives_more_than_the_largest_normal(xp):
    """All pairs of words at the ends, at the quarters of the circle, and where float32 rounds to one."""
    ends = [0, 1, 2**30, 2**31 - 1, 2**31, 3 * 2**30, 2**32 - 129, 2**32 - 128, 2**32 - 2, 2**32 - 1]
    sizes, turns = (each.reshape(1, -1) for each in np.meshgrid(ends, ends))
    out = xp.empty((1, 4, len(ends) ** 2), dtype=xp.float32)
    noise.box_muller(xp, xp.asarray(np.stack([sizes, turns])), xp.asarray(np.stack([turns, sizes])), out)
    found = np.asarray(out)[0]
    assert np.isfinite(found).all() and abs(found).max() == pytest.approx(math.sqrt(66 * math.log(2)), rel=1e-6)
    u = (sizes[0].astype("f4") + np.float32(0.5)).astype("f8") / 2**32
    assert u.max() == 1 and np.allclose(np.hypot(found[0], found[1]), np.sqrt(-2 * np.log(u)), rtol=1e-6)


def test_the_numbers_are_normal():
    count = 1 << 21
    each = normals_of([KEY], (4, count // 4))[0].double().numpy()
    for values in (*each, each.ravel()):
        size = len(values)
        assert stats.kstest(values, "norm").pvalue > 0.01
        assert abs(values.mean()) < 4 / math.sqrt(size) and abs(values.var() - 1) < 4 * math.sqrt(2 / size)
        assert abs(stats.skew(values)) < 4 * math.sqrt(6 / size)
        assert abs(stats.kurtosis(values)) < 4 * math.sqrt(24 / size)
    for size in (3, 4, 4.5):
        for found in ((each > size).sum(), (each < -size).sum()):
            wanted = count * stats.norm.sf(size)
            assert abs(found - wanted) < 4 * math.sqrt(wanted)


def largest_correlation(values):
    """The largest correlation of two rows or of their squares, in units of its standard error."""
    values = np.asarray(values, "f8")
    found = [np.corrcoef(each) - np.eye(len(each)) for each in (values, values**2)]
    return np.abs(found).max() * math.sqrt(values.shape[1])


def test_the_four_normals_of_a_block_and_neighbours_do_not_know_of_each_other():
    each = normals_of([KEY], (4, 1 << 20))[0]
    assert largest_correlation(each) < 4
    assert largest_correlation(torch.cat([each[:, 1:], each[:, :-1]])) < 4.5


def test_another_seed_stream_stage_member_month_or_experiment_is_independent():
    keys = [KEY]
    keys += [KEY._replace(seed=seed) for seed in (0, KEY.seed + 1, KEY.seed + 2**32)]
    keys += [KEY._replace(stream=stream) for stream in (VALIDATION_RUN, LONG_RUN, CALIBRATION)]
    keys += [KEY._replace(stage=INITIAL), KEY._replace(stream=LONG_RUN, stage=INITIAL)]
    keys += [KEY._replace(member=member) for member in (1, 3, KEY.month)]
    keys += [KEY._replace(month=month) for month in (KEY.month + 1, KEY.month + 12, KEY.member)]
    keys += [KEY._replace(member=KEY.month, month=KEY.member)]
    keys += [KEY._replace(experiment=noise.experiment_number(name, "aimip")) for name in ("aimip-p2k", "aimip-p4k")]
    values = normals_of(keys, (200_000,))
    assert largest_correlation(values) < 4.5
    rolled = torch.stack([each.roll(25_000 * shift) for shift, each in enumerate(values[:8])])  # nor a shift of it
    assert largest_correlation(rolled) < 4.5


def test_a_seed_of_two_words_does_not_run_into_the_stream():
    """As words, one after the other, (5 + 2^32, 0, 0) and (5, 1, 0) are the same."""
    one, other = normals_of([Key(5 + 2**32, 0, 0, 1, 1), Key(5, 1, 0, 1, 1)], (100,))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("shape", [(3, 5, 7), (4, 1000)])
def test_a_member_is_the_same_alone_in_any_block_and_in_tiles_of_any_size(monkeypatch, shape):
    keys = [KEY._replace(member=member, month=KEY.month + month) for month in range(3) for member in range(1, 5)]
    alone = torch.stack([normals_of([key], shape)[0] for key in keys])
    for tile in (37, 64, 1 << 15):
        monkeypatch.setattr(noise, "CPU_TILE", tile)
        assert torch.equal(normals_of(keys, shape), alone)
        assert torch.equal(normals_of(keys[::-1], shape), alone.flip(0))
    assert normals_of([], shape).shape == (0, *shape)


def test_neither_torch_s_nor_numpy_s_own_numbers_are_touched():
    torch.manual_seed(1)
    wanted, first = torch.rand(3), normals_of([KEY], (50,))[0]
    torch.manual_seed(1)
    again = normals_of([KEY], (50,))[0]
    assert torch.equal(torch.rand(3), wanted) and torch.equal(first, again)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": -1}, "the seed of noise is -1; it must be 0 or more"),
        ({"member": -1}, "the member of noise is -1; it must be from 0 to 4294967295"),
        ({"month": 2**32}, "the month of noise is 4294967296; it must be from 0 to"),
    ],
)
def test_what_is_no_key_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        normals_of([KEY._replace(**change)], (4,))


def test_more_numbers_than_the_counter_has_are_refused():
    with pytest.raises(ValueError, match=r"at most 17179869184 numbers; \(2, 8589934593\) are 17179869186"):
        normals_of([KEY], (2, 2**33 + 1))


def test_months_are_numbered_one_after_the_other():
    assert [noise.month_number(*date) for date in ((0, 1), (1978, 12), (1979, 1))] == [0, 23747, 23748]
