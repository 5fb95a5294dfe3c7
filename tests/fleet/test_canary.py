"""A new oracle beside the old one, by the chart's own routes in a real Envoy: shifted to, promoted, rolled back and
promoted for good, under load, with a trainer that pins the old one. No call fails, and nobody gets the wrong oracle."""

import asyncio
import math
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

import pytest
from chart import helm, objects, template
from fleet_kit import Replica, single
from gateway import Gateway, running_gateway

from models import tiny_bundle, tiny_manifest
from promedical.messages import ErrorInfo
from promedical_client import AsyncClient, PromedicalError, RevisionMismatchError
from promedical_client.address import Address
from promedical_client.integrations import Grader
from promedical_model.bundle.manifest import write_manifest
from promedical_model.calibration import PlattCell
from promedical_trainer.grpo.oracle import Pin, grader_of, pin_oracle
from promedical_trainer.grpo.recipe import Oracle
from serving import free_port

pytestmark = [pytest.mark.timeout(600), pytest.mark.canary]

OLD, NEW = "demo-promedical", "demo-promedical-canary"
SHARE = 20
CALLS = 300
"""Calls without a pin that are counted while they are split."""
ONCE = {"max_attempts": 1, "timeout_s": 300}
"""No call is sent a second time, so that none may fail."""
DEVIATIONS = 6.0
"""Standard deviations of the share that chance may explain: one run in a thousand million is outside."""


class Product:
    """Callers without a pin on the oracle. They pin the rubric that they name, and send no call a second time."""

    def __init__(self, client: AsyncClient, pins: tuple) -> None:
        self._client, self._pins = client, pins
        self._over = False
        self.failures: list[PromedicalError] = []
        self.answers: Counter[tuple[str, str]] = Counter()
        self.phase = "before"

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask(number)) for number in range(3)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _ask(self, caller: int) -> None:
        number = 0
        while not self._over:
            phase, number = self.phase, number + 1
            try:
                answer = await self._client.score([single(f"{caller}-{number}")])
                await self._client.rank("Why?", ["Rest."], rubric_id="general-medical", expected_rubrics=self._pins)
            except PromedicalError as error:
                self.failures.append(error)
                continue
            assert all(each.scores for each in answer.items[0].result.responses)
            self.answers[phase, answer.model.fingerprint] += 1

    def answered(self, phase: str) -> dict[str, int]:
        return {oracle: count for (when, oracle), count in self.answers.items() if when == phase}


@dataclass
class Trainer:
    """Asks in groups, by a run's own pin, until it is told to stop."""

    grader: Grader
    over: bool = False
    failures: list[object] = field(default_factory=list)
    oracles: Counter[str] = field(default_factory=Counter)
    rewards: list[float] = field(default_factory=list)

    async def stop(self) -> None:
        self.over = True
        await self._task

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        await self.grader.aclose()

    async def _run(self) -> None:
        samples = [self.grader.sample("Is it safe?", f"Rest {n} days.", "general-medical") for n in range(4)]
        while not self.over:
            try:
                graded = await self.grader.graded(samples)
            except PromedicalError as error:
                self.failures.append(error)
                continue
            self.oracles[graded.model.fingerprint] += 1
            self.failures += [each for each in graded.grades if isinstance(each, ErrorInfo)]
            self.rewards.append(math.fsum(each.reward for each in graded.grades if not isinstance(each, ErrorInfo)))


@dataclass(frozen=True)
class Asked:
    """A run's pin, the trainer that has it, and the product's clients and callers, over gRPC and REST."""

    pin: Pin
    trainer: Trainer
    clients: list[AsyncClient]
    products: list[Product]


class Cluster:
    """Both revisions as the chart runs them, and the gateway before them."""

    def __init__(self, folder, binary) -> None:
        self._helm, self._folder = binary, folder
        self.grpc, self.rest = self.ports = (free_port(), free_port())
        self.addresses = {OLD: "127.0.0.2", NEW: "127.0.0.3"}
        self.gateway = Gateway(folder, self.addresses, self.ports)
        self.running: dict[str, Replica] = {}

    def start(self, name: str) -> str:
        """Start a revision's pod; its fingerprint, as `promedical model` prints it."""
        bundle = tiny_bundle(self._folder / name, seed=list(self.addresses).index(name))
        if name == NEW:  # other weights, and another calibration
            write_manifest(bundle, tiny_manifest(calibration={"global": PlattCell(scale=0.5, offset=0.3)}))
        number = list(self.addresses).index(name)
        flags = ("--engine=torch", f"--model={bundle}", "--threads=1")
        self.running[name] = Replica(number, self.ports, *flags)
        return asyncio.run(self._fingerprint(name))

    async def _fingerprint(self, name: str) -> str:
        async with AsyncClient(f"http://{self.addresses[name]}:{self.rest}") as client:
            return (await client.model()).model.fingerprint

    def routes(self, **values: object) -> list:
        sections = ('gateway.parentRefs=[{"name": "gw", "sectionName": "rest"}]', "gateway.httpRoute=true")
        sections += ('gateway.grpcParentRefs=[{"name": "gw", "sectionName": "grpc"}]', "gateway.grpcRoute=true")
        sets = (*sections, f"ports.rest={self.rest}", f"ports.grpc={self.grpc}")
        return objects(template(self._helm, sets=(*sets, *(f"{name}={value}" for name, value in values.items()))))

    def close(self) -> None:
        for replica in self.running.values():
            if replica.process.poll() is None:
                replica.end()


@pytest.fixture
def cluster(tmp_path):
    found = helm(4)
    if isinstance(found, str):
        pytest.skip(found)
    made = Cluster(tmp_path, found)
    try:
        yield made
    finally:
        made.close()


async def until(count: int, phase: str, *products: Product) -> None:
    """Wait until each has so many answers in a phase, however long that takes here."""
    async with asyncio.timeout(300):
        while any(sum(each.answered(phase).values()) < count for each in products):  # noqa: ASYNC110 - counts, no event
            await asyncio.sleep(0.05)


def check_share(counts: dict[str, int], oracle: str) -> None:
    total, share = sum(counts.values()), SHARE / 100
    spread = DEVIATIONS * math.sqrt(total * share * (1 - share))
    assert abs(counts.get(oracle, 0) - total * share) < spread, counts


class Rollout:
    """The routes as values change them, and what callers without a pin are answered meanwhile."""

    def __init__(self, cluster: Cluster, products: list[Product]) -> None:
        self._cluster, self._products = cluster, products
        self._values: dict[str, object] = {}

    async def change(self, phase: str, calls: int = 20, **values: object) -> dict[str, int]:
        """Set values as `helm upgrade` does; so many calls of each product later, count them by who answered."""
        self._values |= {name.replace("canary_", "canary."): value for name, value in values.items()}
        await self._cluster.gateway.follow(self._cluster.routes(**self._values))
        for product in self._products:
            product.phase = phase
        await until(calls, phase, *self._products)
        return sum((Counter(product.answered(phase)) for product in self._products), Counter())


@pytest.fixture
async def asked(cluster, tmp_path):
    """The old revision behind the gateway, and everybody who asks it: a trainer, and a product on each transport."""
    old = await asyncio.to_thread(cluster.start, OLD)
    cluster.gateway.write(cluster.routes())
    with running_gateway(cluster.gateway, tmp_path):
        pin = await asyncio.to_thread(pin_oracle, tmp_path, Address(cluster.gateway.grpc_url), Oracle())
        assert pin.fingerprint == old
        grader = grader_of(Address(cluster.gateway.grpc_url), Oracle(), pin)
        async with AsyncExitStack() as stack, Trainer(grader) as trainer:
            clients = [await stack.enter_async_context(AsyncClient(url, **ONCE)) for url in cluster.gateway.urls]
            pins = tuple(info.pin for info in await clients[0].rubrics())
            products = [await stack.enter_async_context(Product(client, pins)) for client in clients]
            yield Asked(pin, trainer, clients, products)


async def test_canary_is_promoted_and_rolled_back_without_a_failed_call(cluster, asked, tmp_path):
    old, rollout = asked.pin.fingerprint, Rollout(cluster, asked.products)
    await until(20, "before", *asked.products)
    new = await asyncio.to_thread(cluster.start, NEW)
    assert new != old

    tried = await rollout.change("tried", fingerprint=old, canary_fingerprint=new, canary_enabled="true")
    assert set(tried) == {old}
    for client in asked.clients:  # whoever pins it gets it before anybody else does
        await check_pins(client, new)
    split = await rollout.change("split", CALLS // 2, canary_weight=SHARE)
    check_share(split, new)
    for client in asked.clients:
        await check_pins(client, old, new)
        await check_calls_of_many_parts(client)
    resumed = await asyncio.to_thread(pin_oracle, tmp_path, Address(cluster.gateway.grpc_url), Oracle())
    assert resumed == asked.pin

    assert set(await rollout.change("promoted", canary_weight=100)) == {new}
    assert set(await rollout.change("rolled back", canary_weight=0)) == {old}
    assert set(await rollout.change("promoted again", canary_weight=100)) == {new}
    await asked.trainer.stop()
    await asyncio.to_thread(cluster.running[OLD].end)
    assert set(await rollout.change("alone", fingerprint="", replicas=0)) == {new}

    assert [str(error) for product in asked.products for error in product.failures] == []
    assert asked.trainer.failures == []
    assert set(asked.trainer.oracles) == {old}
    assert max(asked.trainer.rewards) - min(asked.trainer.rewards) < 1e-3


async def check_pins(client: AsyncClient, *oracles: str) -> None:
    """Each pin gets its oracle every time, and one that nobody has is refused."""
    for pin in oracles * 8:
        answer = await client.score([single("a")], expected_fingerprint=pin)
        assert answer.model.fingerprint == pin
        assert (await client.model(oracle=pin)).model.fingerprint == pin
    with pytest.raises(RevisionMismatchError, match="expected_fingerprint"):
        await client.score([single("a")], expected_fingerprint="f" * 32)


async def check_calls_of_many_parts(client: AsyncClient) -> None:
    """One oracle answers all parts of a call; the SDK refuses an answer of two."""
    for _ in range(3):
        many = await client.score([single(str(number)) for number in range(130)], priority="bulk")
        assert len({outcome.id for outcome in many.items if outcome.result}) == 130
