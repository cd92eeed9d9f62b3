"""One launch in place of hundreds: a function of tensors, captured once as a CUDA graph and replayed.

A month of a rollout is some hundred short operations, which a GPU finishes sooner than Python can ask for them. A graph
holds them all with the memory that they read and write, so that what changes is copied into the same tensors each time.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.utils import _pytree as pytree

from model.progress import note

WARM_UP = 2  # plain calls before the capture, in which libraries get their workspaces and constants are made


class Graph(Protocol):
    """Work that can be done again on the memory of the first time."""

    def warm_up(self, work: Callable[[], Any]) -> Any:
        """Do `work` as it will be captured, and return what it gives."""

    def capture(self, work: Callable[[], Any]) -> Any:
        """Take note of `work` and return the memory of what it gives; whether it is done by then is left open."""

    def replay(self) -> None:
        """Do the work again."""


class CudaGraph:
    """The `Graph` of a GPU; what it does is in the order of the caller's stream, and leaves that the current one.

    Work is warmed up and captured on one stream of its own, as PyTorch asks (torch.cuda.make_graphed_callables): what
    libraries keep for each stream is there before the capture, in which they could not get it.
    """

    def __init__(self) -> None:
        self.graph, self.stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()

    def warm_up(self, work: Callable[[], Any]) -> Any:
        """Do `work` on the graph's stream, after what the current one has to do and before what it is given next."""
        current = torch.cuda.current_stream()
        # What comes from the one stream's memory is so used and given back in order by the other too.
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            found = work()
        current.wait_stream(self.stream)
        return found

    def capture(self, work: Callable[[], Any]) -> Any:
        """Record the launches of `work`, which are not made.

        Raises:
            RuntimeError: it cannot be captured; the capture has ended, and its memory is free.
        """
        # The other threads, such as the one that writes, may go on to ask CUDA for what a capture must not.
        capturing = torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local")
        try:
            # Of a capture that fails torch.cuda.graph leaves its stream the current one; the outer context does not.
            with torch.cuda.stream(self.stream), capturing:
                return work()
        except RuntimeError:
            # Else the allocator takes the capture for one under way, and keeps what other streams have used.
            self.graph.reset()
            raise

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
        if self.graph is None:
            self.graph = self.make()
        if self.calls <= WARM_UP:
            return self.graph.warm_up(lambda: self.function(*inputs))
        if self.calls > WARM_UP + 1:
            torch._foreach_copy_(tensors(self.buffers), tensors(leaves))
        elif not self._capture(self.graph, leaves):
            return self.function(*inputs)
        self.graph.replay()
        return self.outputs

    def _capture(self, graph: Graph, leaves: list) -> bool:
        """Record the function on copies of its inputs; tell whether that was possible."""
        self.buffers = [None if leaf is None else leaf.clone() for leaf in leaves]
        inputs = pytree.tree_unflatten(self.buffers, self.structure)
        try:
            self.outputs = graph.capture(lambda: self.function(*inputs))
        except RuntimeError as error:
            # The end of a capture that went wrong fails too, and knows less of it.
            cause = str(error.__context__ or error).partition("\n")[0]
            note(f"no graph of {self.function.__name__}, which is slower without one: {cause}")
            self.make = self.graph = None
            self.buffers = []
            return False
        return True


def shapes_of(leaves: list) -> list:
    """Return the shape of each leaf of a tree of tensors; of what is none, None."""
    return [None if leaf is None else leaf.shape for leaf in leaves]


def tensors(leaves: list) -> list[torch.Tensor]:
    """Return the leaves that are tensors, not None."""
    return [leaf for leaf in leaves if leaf is not None]
