"""The device: which one a job takes, and in what precision it computes."""

import os

import pytest
import torch

from model.device import generator, pick_device, threads


def test_a_slurm_job_that_was_given_no_gpu_uses_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for job, visible, expected in ((None, None, "cuda"), ("7", None, "cpu"), ("7", "", "cpu"), ("7", "0", "cuda")):
        for name, value in (("SLURM_JOB_ID", job), ("CUDA_VISIBLE_DEVICES", visible)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        assert pick_device().type == expected


def test_float32_matrix_products_stay_float32():
    """The spectral transforms are matrix products; TF32 would leave them three digits."""
    torch.set_float32_matmul_precision("high")
    pick_device()
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("asked", "given"), [("3", 3), ("4,2", 4), (" 2 ,8", 2), ("", None), ("0", None), ("many", None), ("-1", None)]
)
def test_threads_are_those_that_openmp_would_take(monkeypatch, asked, given):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads() == (given or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(("visible", "told"), [("0", True), ("GPU-7c1a", True), ("NoDevFiles", False), ("", False)])
def test_a_gpu_that_torch_cannot_use_is_told(monkeypatch, capsys, visible, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert pick_device().type == "cpu"
    assert ("torch cannot use it" in capsys.readouterr().err) == told


def test_random_numbers_of_other_keys_are_others():
    """Zeros at the end of a key, and parts of a large number, count."""
    keys = [(3,), (3, 0), (3, 0, 0), (2**32 + 3,), (3, 1), (4,)]
    drawn = {key: tuple(torch.rand(3, generator=generator(*key)).tolist()) for key in keys}
    assert len(set(drawn.values())) == len(keys)
    assert drawn[3, 1] == tuple(torch.rand(3, generator=generator(3, 1)).tolist())
