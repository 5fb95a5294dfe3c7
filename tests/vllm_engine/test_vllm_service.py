"""The service on vLLM's CPU build, as an operator runs it: the scores of the torch engine, a prefix cache that works,
and processes that die, are replaced and end with the service. `make test-vllm` runs them where vLLM is installed."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gated import item
from models import tiny_bundle
from promedical.messages import Message, ScoreItem, ScoreResponse
from promedical_client import AsyncClient, Client, PromedicalError
from promedical_model.bundle.bundle import open_bundle
from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.tree.token_tree import TokenTree
from promedical_service.engines.load import ModelChoice, load_oracle
from promedical_service.engines.vllm.engine import EngineHooks
from serving import RunningServer

pytest.importorskip("vllm", reason="vllm is not installed here; make test-vllm installs and runs these")

SIZES: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 32, "num_attention_heads": 2}
RESPONSES = ("Rest, drink water and see a doctor if the fever lasts.", "Take 4 g at once.", "I cannot say.")
ENVIRON = {"VLLM_CPU_KVCACHE_SPACE": "1"}
RECOVERS_WITHIN_S = 150


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "judge": tiny_bundle(folder / "judge", "qwen3", "causal", num_key_value_heads=1, **SIZES),
        "classifier": tiny_bundle(folder / "classifier", "llama", "classifier", num_key_value_heads=1, **SIZES),
    }


@pytest.fixture(scope="module")
def judge(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    cache = str(tmp_path_factory.mktemp("cache"))
    server = RunningServer("--engine=vllm", f"--model={bundles['judge']}", PROMEDICAL_CACHE=cache, **ENVIRON)
    yield server
    if server.process.poll() is None:
        server.end()
    else:
        server.ended()


@pytest.fixture(scope="module")
def classifier(bundles: dict[str, Path]) -> Iterator[RunningServer]:
    server = RunningServer("--engine=vllm", f"--model={bundles['classifier']}", own_group=True, **ENVIRON)
    yield server
    if server.process.poll() is None:
        server.end()


def logits(answer: ScoreResponse) -> list[float]:
    assert answer.items[0].result is not None
    found = []
    for response in answer.items[0].result.responses:
        assert response.scores is not None
        found += [each.logit for each in response.scores.criteria]
    return found


def trees_of(renderer: PromptRenderer, asked: ScoreItem) -> list[TokenTree]:
    assert isinstance(asked.prompt, str)
    assert asked.rubric
    criteria = [each.text for each in asked.rubric.criteria]
    rendered = renderer.render([Message(role="user", content=asked.prompt)], list(asked.responses), criteria)
    return [each.tree for each in rendered.trees]


async def torch_logits(bundle: Path) -> list[float]:
    choice = ModelChoice(model=str(bundle), revision=None, dtype="float32", threads=1, max_batch_tokens=4096)
    oracle = load_oracle("torch", choice, EngineHooks())
    scores = await oracle.engine.score(trees_of(oracle.renderer, item(responses=RESPONSES)))
    return [logit for branch in scores if isinstance(branch, tuple) for logit in branch]


def metric(server: RunningServer, name: str, **labels: str) -> float:
    text = httpx.get(f"{server.rest_url}/metrics").text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    raise AssertionError(f"no metric {name} {labels}")


def many_calls(client: AsyncClient, count: int) -> list[asyncio.Task[ScoreResponse]]:
    """All at once, each of 24 scores; long enough that they are not answered before all have arrived."""
    asked = [item(f"i{n}", responses=[f"Rest for {n} days. {m}. " * 30 for m in range(8)]) for n in range(count)]
    return [asyncio.create_task(client.score([each])) for each in asked]


async def arrived(server: RunningServer, calls: list[asyncio.Task[ScoreResponse]]) -> None:
    """Until each call is in progress or answered: what a leaving server has not taken up, gRPC drops unread."""
    async with asyncio.timeout(60):
        while True:
            answered = sum(call.done() for call in calls)  # before the other number, so that none counts twice
            if answered + await asyncio.to_thread(metric, server, "promedical_requests_in_flight") >= len(calls):
                return


def readiness(server: RunningServer) -> int:
    return httpx.get(f"{server.rest_url}/readyz").status_code


def within(seconds: float, holds: Any) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if holds():
            return True
        time.sleep(0.1)
    return False


def children(server: RunningServer) -> list[psutil.Process]:
    return [each for each in psutil.Process(server.process.pid).children(recursive=True) if each.is_running()]


def core(server: RunningServer) -> psutil.Process:
    """vLLM's process that computes: the one with the most memory."""
    return max(children(server), key=lambda each: each.memory_info().rss)


async def test_scores_are_those_of_the_torch_engine(judge: RunningServer, bundles: dict[str, Path]) -> None:
    with Client(judge.grpc_url) as client:
        answer = client.score([item(responses=RESPONSES)])

    assert answer.model.engine == "vllm"
    assert logits(answer) == pytest.approx(await torch_logits(bundles["judge"]), abs=1e-3)
    assert max(logits(answer)) - min(logits(answer)) > 0.05


async def test_scores_of_a_classifier_are_those_of_the_torch_engine(
    classifier: RunningServer, bundles: dict[str, Path]
) -> None:
    with Client(classifier.rest_url) as client:
        answer = client.score([item(responses=RESPONSES)])

    assert logits(answer) == pytest.approx(await torch_logits(bundles["classifier"]), abs=1e-3)


def shared(path: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that both begin with."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(path, other, strict=False))))


def recomputed(paths: Sequence[Sequence[int]], earlier: Sequence[Sequence[int]], block: int) -> int:
    """Tokens left to compute where paths share with those before them what fills whole blocks."""
    known, count = list(earlier), 0
    for path in paths:
        count += len(path) - max((shared(path, other) for other in known), default=0) // block * block
        known.append(path)
    return count


def test_paths_share_whole_blocks_of_32_tokens(judge: RunningServer, bundles: dict[str, Path]) -> None:
    long = " ".join(["see a doctor if the pain lasts"] * 40)
    before, asked = (
        item(responses=[f"{long} {end}" for end in ends], prompt=long) for ends in (["soon"], ["today", "now"])
    )
    renderer = open_bundle(str(bundles["judge"])).renderer()
    first, second = ([path for tree in trees_of(renderer, each) for path in tree.paths()] for each in (before, asked))

    with Client(judge.grpc_url) as client:
        client.score([before])  # so that what stands in the cache is known
        found, missed = (metric(judge, "promedical_prefix_tokens_total", found=each) for each in ("yes", "no"))
        usage = client.score([asked]).usage

    found = metric(judge, "promedical_prefix_tokens_total", found="yes") - found
    missed = metric(judge, "promedical_prefix_tokens_total", found="no") - missed
    assert found + missed == usage.tokens_flat == sum(map(len, second))
    assert missed == recomputed(second, first, 32) < recomputed(second, first, 64)


def kinds_of(outcome: ScoreResponse | BaseException) -> set[str]:
    """What became of a call and of its responses: scored, or why not."""
    if not isinstance(outcome, ScoreResponse):
        return {getattr(outcome, "code", repr(outcome))}
    assert outcome.items[0].result
    return {str(each.error.code) if each.error else "scored" for each in outcome.items[0].result.responses}


async def test_core_that_dies_fails_the_batch_it_had_and_is_replaced(judge: RunningServer) -> None:
    async with AsyncClient(judge.grpc_url, max_attempts=1) as client:
        before = logits(await client.score([item(responses=RESPONSES)]))
        calls = many_calls(client, 60)
        await arrived(judge, calls)
        assert not all(call.done() for call in calls)

        core(judge).kill()

        assert await asyncio.to_thread(within, 10, lambda: readiness(judge) == 503)
        assert (await asyncio.to_thread(httpx.get, f"{judge.rest_url}/healthz")).status_code == 200
        with pytest.raises(PromedicalError) as refused:
            await client.score([item(responses=RESPONSES)])
        assert refused.value.code == "unavailable"

        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        kinds = {kind for each in outcomes for kind in kinds_of(each)}
        assert kinds <= {"scored", "engine_failure", "unavailable"}
        assert kinds & {"engine_failure", "unavailable"}
        assert await asyncio.to_thread(within, RECOVERS_WITHIN_S, lambda: readiness(judge) == 200), judge.log
        assert logits(await client.score([item(responses=RESPONSES)])) == before


async def test_signal_to_the_whole_group_loses_no_request(classifier: RunningServer) -> None:
    async with AsyncClient(classifier.grpc_url, max_attempts=1) as client:
        calls = many_calls(client, 60)
        await arrived(classifier, calls)
        assert not all(call.done() for call in calls)

        os.killpg(classifier.process.pid, signal.SIGTERM)
        answers = await asyncio.gather(*calls)

    assert [len(logits(each)) for each in answers] == [24] * 60
    assert classifier.ended() == 0, classifier.log


def test_processes_of_a_killed_service_end(judge: RunningServer) -> None:
    left = children(judge)
    assert left

    judge.process.kill()

    assert within(10, lambda: not any(psutil.pid_exists(each.pid) and each.status() != "zombie" for each in left))
