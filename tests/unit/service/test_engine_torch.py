"""The torch engine: order kept, failures only where they belong, out of memory handled once, errors passed on."""

import asyncio
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models import random_tree, tiny_bundle
from promedical_model.bundle.bundle import open_bundle
from promedical_model.loading import load_tree_model
from promedical_model.tree.token_tree import Branch, TokenTree
from promedical_model.tree.tree_model import LeafLogits, TreeModel
from promedical_service.engines.base import BranchFailure, BranchScores, EngineLost
from promedical_service.engines.torch_engine import TorchEngine

POISON = 600
TREES = [random_tree(n, [(3 * n, [n, 2]), (5, [1]), (1, [7])], seed=n) for n in (1, 4, 40)]


@pytest.fixture
def model(tmp_path: Path) -> TreeModel:
    torch.set_num_threads(1)
    folder = tiny_bundle(tmp_path)
    return load_tree_model(open_bundle(str(folder)), dtype=torch.float32, device=torch.device("cpu"))


async def scored(model: TreeModel, trees: Sequence[TokenTree], max_row_tokens: int = 2048) -> list[BranchScores]:
    engine = TorchEngine(model, max_row_tokens=max_row_tokens)
    try:
        return await engine.score(trees)
    finally:
        await engine.close()


def branches_of(logits: LeafLogits) -> list[tuple[float, ...]]:
    return [branch for tree in logits for branch in tree]


def without(tokens: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token - 1 if token == POISON else token for token in tokens)


def clean(tree: TokenTree) -> TokenTree:
    branches = (Branch(without(b.response), tuple(map(without, b.leaves))) for b in tree.branches)
    return TokenTree(without(tree.prompt), tuple(branches))


@pytest.mark.parametrize("max_row_tokens", [1, 30, 100, 2048])
async def test_torch_engine_keeps_the_order_of_branches_in_any_rows(model: TreeModel, max_row_tokens: int) -> None:
    expected = branches_of(model.score(TREES))

    scores = await scored(model, TREES, max_row_tokens)

    assert len(scores) == len(expected)
    for found, wanted in zip(scores, expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)


async def test_torch_engine_says_what_it_is(model: TreeModel) -> None:
    engine = TorchEngine(model.to(torch.bfloat16), max_row_tokens=10)

    assert (engine.kind, engine.dtype) == ("torch", "bfloat16")
    assert await engine.score([]) == []
    await engine.close()


@pytest.mark.parametrize("poison", [math.nan, math.inf])
async def test_torch_engine_spreads_a_number_that_is_not_finite_to_no_other_response(
    model: TreeModel, poison: float
) -> None:
    trees = [clean(tree) for tree in TREES]
    healthy = branches_of(model.score(trees))
    model.decoder.embed_tokens.weight.data[POISON] = poison
    hurt = trees[1].branches[0]
    hurt = replace(hurt, response=(*hurt.response[:2], POISON, *hurt.response[3:]))
    trees[1] = replace(trees[1], branches=(hurt, *trees[1].branches[1:]))

    scores = await scored(model, trees)

    failed = [index for index, branch in enumerate(scores) if not all(map(math.isfinite, branch))]
    assert failed == [len(trees[0].branches)]
    for index, branch in enumerate(scores):
        if index not in failed:
            assert branch == pytest.approx(healthy[index], abs=1e-5)


async def test_torch_engine_spreads_one_bad_criterion_to_no_other_response(model: TreeModel) -> None:
    tree = clean(TREES[2])
    healthy = branches_of(model.score([tree]))
    model.decoder.embed_tokens.weight.data[POISON] = math.nan
    first = tree.branches[0]
    hurt = replace(first, leaves=(first.leaves[0], (POISON,)))

    scores = await scored(model, [replace(tree, branches=(hurt, *tree.branches[1:]))])

    assert not all(map(math.isfinite, scores[0]))
    assert scores[1:] == [pytest.approx(branch, abs=1e-5) for branch in healthy[1:]]


class Exhausted:
    """`TreeModel.score` that runs out of memory while `fails` says so of the trees it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails, error: Exception) -> None:
        self.calls: list[list[TokenTree]] = []
        original = TreeModel.score

        def score(model: TreeModel, trees: Sequence[TokenTree]) -> LeafLogits:
            self.calls.append(list(trees))
            if fails(self.calls):
                raise error
            return original(model, trees)

        monkeypatch.setattr(TreeModel, "score", score)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
    ids=["cuda", "python", "cpu allocator"],
)
async def test_torch_engine_out_of_memory_once_splits_and_scores_all(
    model: TreeModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    expected = branches_of(model.score(TREES))
    stub = Exhausted(monkeypatch, lambda calls: len(calls) == 1, error)

    scores = await scored(model, TREES)

    assert scores == [pytest.approx(branch, abs=1e-5) for branch in expected]
    assert [sum(len(tree.branches) for tree in call) for call in stub.calls] == [9] + [1] * 9


async def test_torch_engine_out_of_memory_twice_fails_each_response_and_stops(
    model: TreeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Exhausted(monkeypatch, lambda calls: True, torch.OutOfMemoryError("out"))

    scores = await scored(model, TREES)

    assert len(scores) == 9
    assert all(isinstance(branch, BranchFailure) and "out of memory" in branch.reason for branch in scores)
    assert len(stub.calls) == 1 + 9


async def test_torch_engine_out_of_memory_fails_only_the_response_that_is_too_large(
    model: TreeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = branches_of(model.score(TREES))
    Exhausted(
        monkeypatch,
        lambda calls: max(b.tokens for t in calls[-1] for b in t.branches) > 100,
        torch.OutOfMemoryError("out"),
    )

    scores = await scored(model, TREES)

    assert [index for index, branch in enumerate(scores) if isinstance(branch, BranchFailure)] == [6]
    assert [scores[i] for i in (0, 5, 7, 8)] == [pytest.approx(expected[i], abs=1e-5) for i in (0, 5, 7, 8)]


@pytest.mark.parametrize("error", [RuntimeError("expected scalar type Float"), ValueError("bad"), IndexError("id")])
async def test_torch_engine_passes_other_errors_on_without_a_second_try(
    model: TreeModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    stub = Exhausted(monkeypatch, lambda calls: True, error)

    with pytest.raises(type(error), match=str(error)):
        await scored(model, TREES)
    assert len(stub.calls) == 1


async def test_torch_engine_leaves_the_event_loop_free_and_runs_one_batch_at_a_time(
    model: TreeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, started, threads = threading.Event(), threading.Event(), []

    def score(_: TreeModel, trees: Sequence[TokenTree]) -> LeafLogits:
        threads.append(threading.current_thread())
        started.set()
        assert gate.wait(20)
        return tuple(tuple((0.0,) * len(b.leaves) for b in tree.branches) for tree in trees)

    monkeypatch.setattr(TreeModel, "score", score)
    engine = TorchEngine(model, max_row_tokens=2048)
    first, second = (asyncio.ensure_future(engine.score(TREES[:1])) for _ in range(2))
    assert await asyncio.to_thread(started.wait, 20)

    assert len(threads) == 1
    closing = asyncio.ensure_future(engine.close())
    gate.set()

    assert await first == await second == [(0.0, 0.0), (0.0,), (0.0,)]
    await closing
    assert threads[0] is threads[1] is not threading.main_thread()


async def test_torch_engine_is_lost_when_the_device_fails(model: TreeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(TreeModel, "score", fail)
    with pytest.raises(EngineLost):
        await scored(model, TREES)


class HeldPass:
    """Holds the first pass before its second layer until `release`, and notes which passes began and ended."""

    def __init__(self, model: TreeModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.release = threading.Event(), threading.Event()
        self.notes: list[tuple[str, int]] = []
        model.decoder.layers[1].register_forward_pre_hook(lambda *_: self._hold())
        original = TreeModel.score

        def score(model: TreeModel, trees: Sequence[TokenTree]) -> LeafLogits:
            self.notes.append(("begins", len(trees[0].prompt)))
            try:
                return original(model, trees)
            finally:
                self.notes.append(("ends", len(trees[0].prompt)))

        monkeypatch.setattr(TreeModel, "score", score)

    def _hold(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.release.wait(20)


async def test_torch_engine_on_a_cpu_scores_a_batch_that_comes_later_between_two_layers(
    model: TreeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [branches_of(model.score([tree])) for tree in TREES]
    held = HeldPass(model, monkeypatch)
    engine = TorchEngine(model, max_row_tokens=2048)
    first = asyncio.ensure_future(engine.score(TREES[:1]))
    assert await asyncio.to_thread(held.reached.wait, 20)
    others = [asyncio.ensure_future(engine.score([tree])) for tree in TREES[1:]]
    await asyncio.sleep(0)
    held.release.set()

    found = await asyncio.gather(first, *others)
    await engine.close()

    assert held.notes == [("begins", 1), ("begins", 4), ("ends", 4), ("begins", 40), ("ends", 40), ("ends", 1)]
    for scores, wanted in zip(found, expected, strict=True):
        assert scores == [pytest.approx(branch, abs=1e-5) for branch in wanted]


async def test_torch_engine_keeps_an_error_of_what_overtakes_from_the_batch_that_is_overtaken(
    model: TreeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, others = (branches_of(model.score([tree])) for tree in TREES[:2])
    held = HeldPass(model, monkeypatch)
    engine = TorchEngine(model, max_row_tokens=2048)
    first = asyncio.ensure_future(engine.score(TREES[:1]))
    assert await asyncio.to_thread(held.reached.wait, 20)
    bad = asyncio.ensure_future(engine.score([replace(TREES[1], prompt=(10**9,) * 7)]))
    gone, good = asyncio.ensure_future(engine.score(TREES[2:])), asyncio.ensure_future(engine.score(TREES[1:2]))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    held.release.set()

    with pytest.raises(IndexError):
        await bad
    assert await good == [pytest.approx(branch, abs=1e-5) for branch in others]
    assert await first == [pytest.approx(branch, abs=1e-5) for branch in expected]
    await engine.close()
    assert held.notes == [("begins", 1), ("begins", 7), ("ends", 7), ("begins", 4), ("ends", 4), ("ends", 1)]


async def test_torch_engine_that_is_closed_leaves_nothing_on_the_model(model: TreeModel) -> None:
    await scored(model, TREES)

    assert not any(layer._forward_pre_hooks for layer in model.decoder.layers)


def test_torch_engine_on_a_gpu_overtakes_nothing(model: TreeModel) -> None:
    assert not TorchEngine(model.to("meta"), max_row_tokens=2048).overtakes
