"""One launch in place of hundreds: a function of tensors, captured once as a CUDA graph and replayed.

A month of a rollout is some hundred short operations, which a GPU finishes sooner than Python can ask for them. A graph
holds them all with the memory that they read and write, so that what changes is copied into the same tensors each time.
"""

import warnings
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.utils import _pytree as pytree

WARM_UP = 2  # plain calls before the capture, in which libraries get their workspaces and constants are made


class Graph(Protocol):
    """Work that can be done again on the memory of the first time."""

    def capture(self, work: Callable[[], Any]) -> Any:
        """Take note of `work` and return the memory of what it gives; whether it is done by then is left open."""

    def replay(self) -> None:
        """Do the work again."""


class CudaGraph:
    """The `Graph` of a GPU."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def capture(self, work: Callable[[], Any]) -> Any:
        """Record the launches of `work`, which are not made."""
        with torch.cuda.graph(self.graph):
            return work()

    def replay(self) -> None:
        """Launch what was recorded, on the current stream."""
        self.graph.replay()


class Captured:
    """A function of tensors (tuples, lists and dictionaries of them), the same function to whoever calls it.

    Where there are graphs the function must ask the host for nothing and give the same shapes for the same shapes, and
    none of what it gives may be what it was given. What it gives is overwritten by the next call, which may be given
    it. Elsewhere, and where the capture fails, it is called as it is.

    Args:
        function: to call.
        device: that it computes on.
        graph: makes a graph; None: that of the device, if it has any.
    """

    def __init__(self, function: Callable, device: torch.device, graph: Callable[[], Graph] | None = None):
        self.function = function
        self.make = CudaGraph if graph is None and device.type == "cuda" else graph
        self.calls = 0
        self.graph: Graph | None = None

    def __call__(self, *inputs: Any) -> Any:
        """Return what the function gives of the inputs.

        Raises:
            ValueError: the inputs are of another structure, or a tensor of another shape, than at the first call.
        """
        if self.make is None:
            return self.function(*inputs)
        leaves, structure = pytree.tree_flatten(inputs)
        if self.calls == 0:
            self.structure, self.shapes = structure, shapes_of(leaves)
        elif structure != self.structure or shapes_of(leaves) != self.shapes:
            raise ValueError("a captured function takes inputs of the same structure and shapes at every call.")
        self.calls += 1
        if self.calls <= WARM_UP:
            return self.function(*inputs)
        if self.graph is None:
            self.buffers = [None if leaf is None else leaf.clone() for leaf in leaves]
            if not self._capture():
                return self.function(*inputs)
        else:
            torch._foreach_copy_(tensors(self.buffers), tensors(leaves))
        assert self.graph is not None
        self.graph.replay()
        return self.outputs

    def _capture(self) -> bool:
        """Record the function on the buffers; tell whether that was possible."""
        assert self.make is not None
        inputs, graph = pytree.tree_unflatten(self.buffers, self.structure), self.make()
        try:
            self.outputs = graph.capture(lambda: self.function(*inputs))
        except RuntimeError as error:
            warnings.warn(f"no graph of {self.function.__name__}, which is slower without one: {error}", stacklevel=3)
            self.make = None
            return False
        self.graph = graph
        return True


def shapes_of(leaves: list) -> list:
    """Return the shape of each leaf of a tree of tensors; of what is none, None."""
    return [None if leaf is None else leaf.shape for leaf in leaves]


def tensors(leaves: list) -> list[torch.Tensor]:
    """Return the leaves that are tensors, not None."""
    return [leaf for leaf in leaves if leaf is not None]
