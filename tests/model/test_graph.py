"""A captured function: what it gives, and on which memory, by a graph that runs its work again on a CPU."""

from typing import NamedTuple

import pytest
import torch
from torch.utils import _pytree as pytree

from model import graph, simulate
from model.graph import WARM_UP, Captured
from model.noise import DIFFUSION, SUBMISSION, Key
from model.simulate import Ensemble, Now, diffusion_noise
from tests.helpers import model_data
from tests.helpers.model_networks import make_model, make_pairs

CPU = torch.device("cpu")


class AgainGraph:
    """Does its work again at each replay and puts what it gives where the capture left it, as a graph on a GPU does.

    The capture itself does no work there, so that what it gives is no number yet.
    """

    def warm_up(self, work):
        return work()

    def capture(self, work):
        self.work, self.outputs = work, work()
        for leaf in pytree.tree_leaves(self.outputs):
            leaf.fill_(torch.nan if leaf.is_floating_point() or leaf.is_complex() else -1)
        return self.outputs

    def replay(self):
        for kept, new in zip(pytree.tree_leaves(self.outputs), pytree.tree_leaves(self.work()), strict=True):
            kept.copy_(new)


class Pair(NamedTuple):
    total: torch.Tensor
    parts: list


def grown(pair, x):
    return Pair(pair.total * 0.5 + x, [part + x.sum() for part in pair.parts])


def recorded(function):
    def call(*inputs):
        call.seen.append([leaf.data_ptr() for leaf in pytree.tree_leaves(inputs)])
        return function(*inputs)

    call.seen = []
    return call


def test_what_is_carried_from_call_to_call_is_that_of_plain_calls():
    function = recorded(grown)
    captured = Captured(function, CPU, AgainGraph)
    plain = carried = Pair(torch.ones(3), [torch.zeros(()), torch.ones(2)])
    for number in range(6):
        x = torch.tensor([1.0, 2.0, 3.0]) * number
        plain, carried = grown(plain, x), captured(carried, x)
        for found, wanted in zip(pytree.tree_leaves(carried), pytree.tree_leaves(plain), strict=True):
            assert torch.equal(found, wanted), number
        if number == WARM_UP:
            kept = [leaf.data_ptr() for leaf in pytree.tree_leaves(carried)]
        if number > WARM_UP:
            assert [leaf.data_ptr() for leaf in pytree.tree_leaves(carried)] == kept, "the memory of the capture"
            assert all(seen == function.seen[WARM_UP] for seen in function.seen[WARM_UP:]), "and its inputs'"
    assert not set(kept) & set(function.seen[-1]), "what is given is no memory of what it was made of"


def test_inputs_are_copied_not_kept():
    captured, x = Captured(lambda x: (2 * x,), CPU, AgainGraph), torch.ones(2)
    for number in range(5):
        x += 1
        (found,) = captured(x)
        assert found.tolist() == [2 * (number + 2)] * 2 and x.tolist() == [number + 2] * 2


def test_inputs_of_another_shape_or_structure_are_refused():
    captured = Captured(grown, CPU, AgainGraph)
    captured(Pair(torch.ones(3), []), torch.ones(3))
    for wrong in (Pair(torch.ones(3), [torch.ones(1)]), Pair(torch.ones(1), [])):
        with pytest.raises(ValueError, match="inputs of the same structure and shapes at every call"):
            captured(wrong, torch.ones(3))


def test_a_device_without_graphs_and_a_capture_that_fails_call_the_function(capsys):
    class Failing(AgainGraph):
        def capture(self, work):
            raise RuntimeError("operation not permitted when stream is capturing")

    assert Captured(grown, CPU).make is None
    plain, failing = Captured(grown, CPU), Captured(grown, CPU, Failing)
    one = two = Pair(torch.ones(3), [])
    for _ in range(5):
        one, two = plain(one, torch.ones(3)), failing(two, torch.ones(3))
    assert torch.equal(one.total, two.total)
    told = "no graph of grown, which is slower without one: operation not permitted when stream is capturing\n"
    assert capsys.readouterr().err == told and failing.graph is None and not failing.buffers


class StandInCuda:
    """What torch.cuda.graph and its user ask of CUDA, without a GPU: which stream is current, and what is asked for.

    Args:
        monkeypatch: to put it in place.
        refused: what fails: "begin", "end" or "instantiate"; an operation of the work ("work") makes the end fail too.
    """

    def __init__(self, monkeypatch, refused=None):
        self.refused, self.calls = refused, []
        self.default = self.current = self.stream("default")
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: StandInCudaGraph(self))
        monkeypatch.setattr(torch.cuda, "Stream", lambda: self.stream("side"))
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: OnStream(self, stream))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: self.current)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: self.calls.append("synchronize"))
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)

    def stream(self, name):
        stream = type("Stream", (), {"name": name, "cuda_stream": 0})()
        stream.wait_stream = lambda other: self.calls.append(f"{name} waits for {other.name}")
        return stream


class OnStream:
    """Makes a stream the current one; whoever enters and does not leave it leaves it so."""

    def __init__(self, cuda, stream):
        self.cuda, self.stream = cuda, stream

    def __enter__(self):
        self.before, self.cuda.current = self.cuda.current, self.stream

    def __exit__(self, *_):
        self.cuda.current = self.before


class StandInCudaGraph(AgainGraph):
    """A graph of it, which does the work again at each replay."""

    def __init__(self, cuda):
        self.cuda, self.capturing = cuda, False

    def capture_begin(self, *pool, capture_error_mode, **choices):
        assert self.cuda.current.name == "side" and capture_error_mode == "thread_local"
        if self.cuda.refused == "begin":
            raise RuntimeError("begin failed")
        self.capturing = True

    def capture_end(self):
        assert self.cuda.current.name == "side"
        self.capturing = False
        if self.cuda.refused is not None:
            raise RuntimeError(f"{'end' if self.cuda.refused == 'work' else self.cuda.refused} failed\nSee the manual.")

    def replay(self):
        assert not self.capturing and self.cuda.current is self.cuda.default
        self.cuda.calls.append("replay")
        super().replay()

    def reset(self):
        self.cuda.calls.append("reset")


class OnStandIn(graph.CudaGraph):
    """The graph of a GPU, whose work is noted for its replays."""

    def capture(self, work):
        def noted():
            return AgainGraph.capture(self.graph, work)

        return super().capture(noted)


def in_step(captured):
    """Six calls of `captured` beside plain ones of `grown`: number and input of each, once both gave the same."""
    plain = carried = Pair(torch.ones(3), [torch.zeros(())])
    for number in range(6):
        x = torch.full((3,), float(number))
        plain, carried = grown(plain, x), captured(carried, x)
        assert torch.equal(carried.total, plain.total) and torch.equal(carried.parts[0], plain.parts[0]), number
        yield number, x


@pytest.mark.parametrize("refused", ["begin", "work", "end", "instantiate"])
def test_a_capture_that_fails_on_a_gpu_gives_the_stream_back_and_is_told_in_a_sentence(monkeypatch, capsys, refused):
    """By torch's own torch.cuda.graph, which alone would leave its stream the current one."""
    cuda, streams = StandInCuda(monkeypatch, refused), []

    def work(pair, x):
        streams.append(cuda.current.name)
        if refused == "work" and len(streams) == WARM_UP + 1:
            raise RuntimeError("work failed")
        return grown(pair, x)

    captured = Captured(work, CPU, OnStandIn)
    for _ in in_step(captured):
        assert cuda.current is cuda.default
    assert capsys.readouterr().err == f"no graph of work, which is slower without one: {refused} failed\n"
    tried = [] if refused == "begin" else ["side"]
    assert streams == ["side"] * WARM_UP + tried + ["default"] * (6 - WARM_UP)
    assert cuda.calls == ["side waits for default", "default waits for side"] * WARM_UP + ["synchronize", "reset"]


def test_a_graph_of_a_gpu_is_warmed_up_captured_and_replayed_on_new_inputs(monkeypatch):
    cuda = StandInCuda(monkeypatch)
    function = recorded(grown)
    captured = Captured(function, CPU, OnStandIn)
    for number, x in in_step(captured):
        if number >= WARM_UP:
            assert torch.equal(captured.buffers[-1], x) and captured.buffers[-1].data_ptr() != x.data_ptr()
            assert function.seen[-1] == [leaf.data_ptr() for leaf in captured.buffers]
    warm = ["side waits for default", "default waits for side"] * WARM_UP
    assert cuda.calls == [*warm, "synchronize", *["replay"] * (6 - WARM_UP)]


@torch.no_grad()
def measured_noise(model):
    model.residual.mixing.normal_(0, 0.3)
    model.residual.known.normal_(0, 0.5)
    model.residual.run.normal_(0, 0.5)
    model.residual.memory.fill_(0.4)
    model.residual.patterns.normal_(0, 0.1)
    model.residual.pattern_memory.fill_(0.6)
    model.residual.even.uniform_(0.5, 1.5)
    model.residual.means.kept[:2] = 0.5
    model.residual.means.slope.fill_(0.3)
    # The second of the held fields is behind a root, about what changes with the month.
    root = torch.arange(len(model.residual.means.kept)) == 1
    model.residual.means.know_roots(root, torch.randn(12, 1, *model.grid, generator=torch.Generator().manual_seed(3)))
    return model


def small_model(sampler, noisy=True):
    model = make_model(noise_modes=8, sampler=sampler, diffusion_steps=3, residual_noise=noisy).eval()
    return measured_noise(model) if noisy else model


def months_of(model, **choices):
    """Nine months of three members under a sea that changes, (months, members, fields, nlat, nlon)."""
    dates, members = model_data.months((1990, 5), 9), [1, 2, 3]
    seas = make_pairs(batch=len(dates)).forcing
    given = model, make_pairs(1).fields, seas[:1], dates, lambda index: seas[index : index + 1], members, 7
    return torch.stack(list(simulate.simulate(*given, **choices)))


@pytest.mark.parametrize(("sampler", "noisy"), [("second_order", True), ("ancestral", True), ("ancestral", False)])
def test_the_months_of_a_run_are_those_of_plain_calls_whatever_is_captured(monkeypatch, sampler, noisy):
    """All members of a block at once, as on a GPU, with noise of all stages drawn from the month's number."""
    model = small_model(sampler, noisy)
    monkeypatch.setattr(simulate, "members_together", lambda device, members: members)
    plain = months_of(model, graphs=False)
    monkeypatch.setattr(simulate, "Captured", lambda function, device: Captured(function, device, AgainGraph))
    assert torch.equal(months_of(model), plain)
    assert plain.std() > 0.1 and (plain[1:] - plain[:-1]).abs().mean() > 0.1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("sampler", "noisy"), [("second_order", True), ("ancestral", True), ("ancestral", False)])
def test_the_months_of_a_run_on_a_gpu_are_those_of_plain_calls_by_its_graph_too(monkeypatch, sampler, noisy):
    """Each month of each member, six of them replays; and the months are those of a CPU, up to rounding."""
    model, made = small_model(sampler, noisy), []
    here = months_of(model)
    model = model.to("cuda")
    plain = months_of(model, graphs=False).cpu()

    def captured(function, device):
        made.append(Captured(function, device))
        return made[-1]

    monkeypatch.setattr(simulate, "Captured", captured)
    found = months_of(model).cpu()
    assert len(made) == 1 and isinstance(made[0].graph, graph.CudaGraph) and made[0].calls == len(found) - 1
    assert (plain[1:] - plain[:-1]).abs().flatten(2).mean(2).min() > 0.1, "a replay of another month would show"
    for month in range(len(found)):
        for member in range(found.shape[1]):
            torch.testing.assert_close(found[month, member], plain[month, member], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain, here, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("sampler", ["second_order", "ancestral"])
@torch.no_grad()
def test_a_month_asks_the_host_for_nothing(sampler):
    """On tensors that have no numbers to ask for; what goes to and from other devices fails there too."""
    model = small_model(sampler)
    meta, month = torch.device("meta"), torch.tensor([24000])
    scales = pytree.tree_map(lambda value: value.to(meta), model.residual.scales(1))
    model = model.to(meta)
    key, number = Key(7, SUBMISSION, DIFFUSION, 0, 0), month.to(meta)
    ensemble = Ensemble(model, [[1, 2, 3]], key, noisy=True)
    now = Now(make_pairs(1).forcing.to(meta), number, number, scales)
    _, carried = ensemble.start(now, [torch.empty(3, *model.latent_shape, device=meta)])
    colored = diffusion_noise(model, key, [1, 2, 3], number.expand(4), number.expand(4))
    for noise in colored:
        fields, after = ensemble.advance(now, carried, [noise])
        assert fields[0].shape == (3, model.fields, *model.grid)
        before, carried = carried, after
        shapes = [[leaf.shape for leaf in pytree.tree_leaves(each)] for each in (before, after)]
        assert shapes[0] == shapes[1] and all(leaf.is_meta for leaf in pytree.tree_leaves(after))
    with pytest.raises(RuntimeError):
        fields[0].sum().item()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_s_graph_gives_what_plain_calls_give():
    device = torch.device("cuda")
    captured = Captured(grown, device)
    plain = carried = Pair(torch.ones(3, device=device), [torch.zeros((), device=device)])
    for number in range(6):
        x = torch.full((3,), float(number), device=device)
        plain, carried = grown(plain, x), captured(carried, x)
        assert torch.equal(carried.total, plain.total) and torch.equal(carried.parts[0], plain.parts[0])
    assert isinstance(captured.graph, graph.CudaGraph)
