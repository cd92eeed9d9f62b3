"""The device that a program runs on, its threads, and seeds."""

import contextlib
import os
import re

import numpy as np
import torch

from model.progress import note


def pick_device() -> torch.device:
    """Return the GPU if this process was given one, else the CPU with as many threads as this process may use.

    The number of threads is OMP_NUM_THREADS where it is set.
    """
    # Float32 throughout on a GPU too: the spectral transforms are matrix products, and TF32 would leave them 3 digits.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    # Slurm names a job's GPUs in this variable. A job that asked for none may still see those of others on the node.
    given = "SLURM_JOB_ID" not in os.environ or bool(os.environ.get("CUDA_VISIBLE_DEVICES"))
    if given and torch.cuda.is_available():
        return torch.device("cuda")
    named = re.match(r"\d|GPU-|MIG-", os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    if "SLURM_JOB_ID" in os.environ and named:
        note("Slurm gave this job a GPU, but torch cannot use it (driver, or torch built without CUDA): the CPU works.")
    torch.set_num_threads(threads())
    return torch.device("cpu")


def threads() -> int:
    """Return how many threads OMP_NUM_THREADS asks for, else as many as this process may use.

    OpenMP allows a list, one number for each level of nesting ("4,2"); the outermost counts. It ignores what is no
    number above 0, and so does this.
    """
    outermost = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(outermost) if outermost.isdecimal() and int(outermost) else len(os.sched_getaffinity(0))


@contextlib.contextmanager
def seeded(seed: int):
    """Draw torch's default random numbers from `seed` inside the block, and leave the generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def generator(*key: int) -> torch.Generator:
    """Return a CPU generator for the random numbers of `key`, such as (seed, step); other keys are independent."""
    # By spawn_key: of the entropy alone zeros at the end count for nothing.
    number = np.random.SeedSequence(key[0], spawn_key=key[1:]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(number >> np.uint64(1)))


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return `values` on the device; the host does not wait until they are there."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
