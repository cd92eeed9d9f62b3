"""The state of an unfinished training run: kept beside the products, so that a run that was killed goes on."""

import contextlib
import dataclasses
import hashlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from model.files import whole_bytes


@dataclasses.dataclass
class State:
    """Everything that a resumed run needs; tensors, numbers and lists only, so that it loads without pickle."""

    step: int
    model: dict
    average: dict
    optimizer: dict
    rows: list  # metrics, one dict per epoch
    sums: dict  # of the epoch under way
    candidates: list  # model.candidates, one dict each


def code_digest() -> str:
    """Return a digest of the modules of the model that this process has imported, and of the tables beside them."""
    folder = Path(__file__).parent
    imported = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    files = {Path(file) for file in imported if file}
    own = {file.resolve() for file in files if file.parent == folder} | set(folder.resolve().glob("data/*.csv"))
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in sorted(own))).hexdigest()


def load_state(path: Path | None, identity: str, device: torch.device) -> State | None:
    """Return the state of an unfinished run of the same data, code, settings and seed, on `device`, or None.

    The run may have been on another device: it goes on with the same numbers up to rounding.
    """
    if path is None or not path.exists():
        return None
    stored = torch.load(path, map_location=device, weights_only=True)
    if stored.pop("identity") != identity:
        print(f"{path} belongs to other data, code, settings or seed: starting over.", file=sys.stderr)
        return None
    return State(**stored)


def hand_over(state: State, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load model and optimizer from a state that was read; from then on it holds no copy of what they hold.

    What average and candidates share with the model, which training does not change (`clone_state`), is most of a
    state: they get the model's own for that which was read, and the next state that is written has it once again.
    """
    model.load_state_dict(state.model)
    optimizer.load_state_dict(state.optimizer)
    own = model.state_dict()
    for weights in (state.average, *(candidate["weights"] for candidate in state.candidates)):
        for name, value in weights.items():
            if value.data_ptr() == state.model[name].data_ptr():
                weights[name] = own[name]
    state.model, state.optimizer = {}, {}


def write_state(path: Path, identity: str, state: State) -> None:
    """Write the state under a temporary name, then put it in place of the old one."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(State)}
    with whole_bytes(path) as file:
        torch.save({"identity": identity, **fields}, file)


class Termination:
    """When a run has to end before it is done: at a signal, or while there is time left to save its state.

    Args:
        minutes: the time limit, counted from here; 0: none.
    """

    # Seconds of the limit that are for no step: the start of the job before this, and the writing of the state.
    RESERVE = 120

    def __init__(self, minutes: float = 0):
        self.signalled = False
        self.minutes = minutes
        self.begun = self.before = time.monotonic()
        self.longest = 0.0

    def begin_steps(self) -> None:
        """Take the time of steps from here on; what was before them is no step."""
        self.before = time.monotonic()

    def reason(self) -> str:
        """Return why to stop after this step, or nothing; the time left has to hold two of the longest steps so far."""
        now = time.monotonic()
        self.longest, self.before = max(self.longest, now - self.before), now
        if self.signalled:
            return "by a signal"
        if self.minutes and now - self.begun + 2 * self.longest + self.RESERVE > 60 * self.minutes:
            return f"before its time limit of {self.minutes:g} minutes"
        return ""


@contextlib.contextmanager
def termination(minutes: float = 0) -> Iterator[Termination]:
    """Note SIGTERM, which schedulers send before a kill, so that the loop can save its state and stop."""
    noted = Termination(minutes)

    def note(*_):
        noted.signalled = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, before)
