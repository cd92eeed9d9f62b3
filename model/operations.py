"""How many operations a device is asked for: on a GPU each is a launch, which takes longer to ask for than to do."""

from collections import Counter

from torch.utils._python_dispatch import TorchDispatchMode

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
