"""A fleet on loopback: real servers, each on an address of its own as a pod has one, a DNS server that names those that
are there, and clients that keep asking while replicas come and go."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import httpx
from dnslib import QTYPE, RR, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer
from prometheus_client.parser import text_string_to_metric_families

import gated
from gated import item
from promedical.messages import Priority, ScoreItem
from promedical_client import AsyncClient, PromedicalError
from promedical_client.address import Address
from promedical_client.transports.grpc import GrpcTransport
from serving import RunningServer, free_port

NAME = "oracle.fleet"


class Replica(RunningServer):
    """A server with the fake engine on an address of its own; all replicas have the same ports, as pods have."""

    def __init__(self, number: int, ports: tuple[int, int], *flags: str, tokens_per_s: float | None = None) -> None:
        self.address = f"127.0.0.{number + 2}"
        self.killed = False
        program = (gated.__file__,) if tokens_per_s else ("-m", "promedical_service")
        speed = {"FAKE_TOKENS_PER_S": str(tokens_per_s)} if tokens_per_s else {}
        grpc, rest = ports
        own = (f"--host={self.address}", f"--grpc-port={grpc}", f"--rest-port={rest}")
        super().__init__("--engine=fake", *own, *flags, program=program, **speed)
        self.rest_url = f"http://{self.address}:{rest}"

    @property
    def scored(self) -> int:
        """Items that it answered."""
        families = text_string_to_metric_families(httpx.get(f"{self.rest_url}/metrics").text)
        samples = [
            sample for family in families for sample in family.samples if sample.name == "promedical_items_total"
        ]
        return int(sum(sample.value for sample in samples if sample.labels["outcome"] == "ok"))

    @property
    def answered(self) -> list[str]:
        """Ids of the calls that it scored, by its log, which outlives it; the SDK sends a call again by the same id."""
        calls = self.events("request")
        return [call["request_id"] for call in calls if call["code"] == "ok" and call["method"] == "ScoreBatch"]

    def kill(self) -> None:
        self.killed = True
        self.process.send_signal(signal.SIGKILL)
        self.ended()


class Names(BaseResolver):
    """Resolves every name to the replicas that are there, as a headless Service does."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    def resolve(self, request, handler):
        reply = request.reply()
        if request.q.qtype == QTYPE.A:
            for address in self.addresses:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=1))
        return reply


class Fleet:
    """Replicas by number, and the DNS that names them."""

    def __init__(self, *flags: str, tokens_per_s: float | None = None) -> None:
        self.flags, self.tokens_per_s = flags, tokens_per_s
        self.ports = (free_port(), free_port())
        self.replicas: dict[int, Replica] = {}
        self.all: list[Replica] = []
        self._names = Names()
        self._dns = DNSServer(self._names, address="127.0.0.1", port=0, logger=DNSLogger("-request,-reply"))
        self._dns.start_thread()
        self._dns_port = self._dns.server.server_address[1]

    @property
    def target(self) -> str:
        """What a client in the cluster would call: a name, asked of the cluster's DNS."""
        return f"dns://127.0.0.1:{self._dns_port}/{NAME}:{self.ports[0]}"

    def client(self, **options) -> AsyncClient:
        return AsyncClient(transport=GrpcTransport(Address(), target=self.target), **options)

    def start(self, number: int, *flags: str, tokens_per_s: float | None = None) -> Replica:
        return self._add(number, self._made(number, *flags, tokens_per_s=tokens_per_s))

    def start_all(self, count: int) -> None:
        """Replicas from 0 on, side by side."""
        with ThreadPoolExecutor(count) as threads:
            for number, replica in enumerate(threads.map(self._made, range(count))):
                self._add(number, replica)

    def _made(self, number: int, *flags: str, tokens_per_s: float | None = None) -> Replica:
        return Replica(number, self.ports, *self.flags, *flags, tokens_per_s=tokens_per_s or self.tokens_per_s)

    def _add(self, number: int, replica: Replica) -> Replica:
        self.replicas[number] = replica
        self.all.append(replica)
        self.name(self.replicas)
        return replica

    def name(self, numbers: Iterable[int]) -> None:
        self._names.addresses = [self.replicas[number].address for number in numbers]

    def stop(self, number: int) -> None:
        """As Kubernetes does: out of DNS, then SIGTERM."""
        self.name(other for other in self.replicas if other != number)
        assert self.replicas.pop(number).end() == 0

    async def restart_in_turn(self) -> None:
        """As a rollout does: one goes and comes again, then the next."""
        for number in range(len(self.replicas)):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(self.stop, number)
            await asyncio.to_thread(self.start, number)

    def close(self) -> None:
        for replica in self.replicas.values():
            if replica.process.poll() is None:
                replica.end()
        self._dns.stop()
        self._dns.server.server_close()


@contextmanager
def fleet(count: int, *flags: str, **options) -> Iterator[Fleet]:
    made = Fleet(*flags, **options)
    try:
        made.start_all(count)
        yield made
    finally:
        made.close()


def single(name: str) -> ScoreItem:
    """What a product asks: an answer or two."""
    return item(name, responses=(f"Rest {name}.", "Wait."))


class Traffic:
    """Callers that ask without pause; every call is kept by what became of it."""

    def __init__(
        self,
        client: AsyncClient,
        callers: int = 4,
        ask: Callable[[str], ScoreItem] = single,
        priority: Priority = "interactive",
    ) -> None:
        self._client, self._callers, self._item, self._priority = client, callers, ask, priority
        self._over = False
        self.answered: list[str] = []
        self.failures: list[PromedicalError] = []
        self.sent = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask(number)) for number in range(self._callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _ask(self, caller: int) -> None:
        number = 0
        while not self._over:
            name, number = f"{caller}-{number}", number + 1
            self.sent += 1
            try:
                answer = await self._client.score([self._item(name)], priority=self._priority)
            except PromedicalError as error:
                self.failures.append(error)
                continue
            assert [outcome.id for outcome in answer.items] == [name]
            assert all(outcome.result and all(r.scores for r in outcome.result.responses) for outcome in answer.items)
            self.answered.append(name)

    def check_all_answered(self) -> None:
        assert self.failures == []
        assert len(self.answered) == self.sent


def check_scored_once(them: Fleet, *traffics: Traffic, unlogged: int = 0) -> None:
    """Every answer is one that a replica gave, and no call was scored twice but by one that was killed meanwhile.

    Stop the fleet before. `unlogged`: calls whose line of log a killed replica may have taken along.
    """
    times = Counter(call for replica in them.all for call in replica.answered)
    excused = {call for replica in them.all if replica.killed for call in replica.answered}
    assert {call for call, scored in times.items() if scored > 1} <= excused
    answered = sum(len(each.answered) for each in traffics)
    unanswered = sum(len(each.failures) for each in traffics)
    assert answered - unlogged <= len(times) <= answered + unanswered + unlogged


async def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether it holds before so many seconds have passed."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if holds():
            return True
        await asyncio.sleep(0.1)
    return False
