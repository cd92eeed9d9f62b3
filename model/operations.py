"""How many operations a device is asked for: on a GPU each is a launch, which takes longer to ask for than to do."""

from collections import Counter

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from model.config import TrainingConfig
from model.data import MonthPairs
from model.loss import draw_noise, gradients, pair_inputs
from model.monthly_diffusion import MonthInputs, MonthlyDiffusion
from model.noise import DIFFUSION, SUBMISSION, Key
from model.optimizer import RealAdamW, clip, clone_state, update_average
from model.simulate import Ensemble, Now, diffusion_noise
from model.sphere import Grid
from model.synthetic import RECIPES, make_model, make_pairs

MOST = 10  # kinds of operations that are named
# No work on numbers, besides views, which the schemas tell.
IDLE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view"}


class Operations(TorchDispatchMode):
    """Counts by name the operations that the dispatcher passes on in this block, views and empty memory left out.

    On the device "meta", whose tensors have shapes and no numbers, nothing is computed, and what asks the host for a
    number fails. An operation that is made of others counts as these.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:
            made_of_others = operation.decompose(*args, **kwargs)
        if made_of_others is not NotImplemented:
            return made_of_others
        returns = operation._schema.returns
        view = any(value.alias_info is not None and not value.alias_info.is_write for value in returns)
        name = operation._schema.name.removeprefix("aten::")
        if not view and name not in IDLE:
            self.counts[name] += 1
        return operation(*args, **kwargs)

    @property
    def total(self) -> int:
        """The number of all operations."""
        return self.counts.total()


@torch.no_grad()
def month_operations(model: MonthlyDiffusion, pairs: MonthPairs, members: int) -> Operations:
    """Return the operations of eight months of a rollout as a GPU makes it, all members at once; on the device "meta".

    model: on the CPU; moves to that device.
    """
    meta, scales = torch.device("meta"), None
    if model.residual is not None:
        model.residual.means.kept[:2] = 0.5
        scales = pytree.tree_map(lambda value: value.to(meta), model.residual.scales(1))
    model = model.eval().to(meta)
    key, block = Key(0, SUBMISSION, DIFFUSION, 0, 0), list(range(members))
    ensemble = Ensemble(model, [block], key, scales is not None)
    month = pairs.month[:1].to(meta)
    now = Now(pairs.forcing[:1].to(meta), month, month, scales)
    dates = torch.zeros(2, 9, dtype=torch.int64, device=meta)
    _, carried = ensemble.start(now, [torch.empty(members, *model.latent_shape, device=meta)])
    first, colored = (diffusion_noise(model, key, block, *dates) for _ in range(2))
    _, carried = ensemble.advance(now, carried, [next(first)])  # makes constants
    with Operations() as found:
        for noise in colored:
            _, carried = ensemble.advance(now, carried, [noise])
    return found


def step_operations(model: MonthlyDiffusion, pairs: MonthPairs, config: TrainingConfig) -> Operations:
    """Return the operations of a training step, with clipping, optimizer and average; else as `month_operations`."""
    meta = torch.device("meta")
    with torch.no_grad():
        given = MonthInputs(*(values.to(meta) for values in pair_inputs(model, pairs)))
    for value in model.parameters():
        value.grad = torch.zeros_like(value)
    optimizer, average = RealAdamW(model, lr=1e-5), clone_state(model)
    optimizer.step()  # the first makes its memory
    with Operations() as found:
        clip(model, config)
        optimizer.step()
        update_average(average, model, config.average, 1)
    model = model.train().to(meta)
    noise = draw_noise(model, len(pairs.month), torch.Generator(), meta)
    gradients(model, given, config, noise)  # the first makes constants
    with found:
        gradients(model, given, config, noise)
    return found


def operations(grid: Grid, members: int, batch: int) -> dict:
    """Return the operations per month of a rollout and per step of training, and the most frequent of them by name."""
    device, results = torch.device("cpu"), {}
    for form in ("v0p9", "defaults"):
        choices, training = RECIPES[form]
        month = month_operations(make_model(grid, device, choices), make_pairs(grid, 1, device), members)
        step = step_operations(
            make_model(grid, device, choices), make_pairs(grid, batch, device), TrainingConfig(**training)
        )
        results[form] = {
            "month": month.total / 8,
            "step": step.total,
            "most_of_month": {name: count / 8 for name, count in month.counts.most_common(MOST)},
            "most_of_step": dict(step.counts.most_common(MOST)),
        }
    return {"grid": list(grid), "torch": torch.__version__, "members": members, "batch": batch, **results}
