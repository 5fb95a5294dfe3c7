"""Sends traffic and keeps every outcome: trainers in closed loops, a product's requests as they arrive, or both.

A closed loop sends its next call when the last one is answered, as a trainer that waits for rewards does. An open
loop sends at times that are drawn beforehand, whatever the service does; a late call counts from when it was due.
Calls are tried once: refusals are counted, not hidden by retries.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from promedical.messages import ScoreItem
from promedical_bench.loadtest.samples import Lane, Sample, Window, answered
from promedical_bench.loadtest.traffic import Shape, items
from promedical_client import AsyncClient, PromedicalError

_LEAST_PAUSE_S = 0.1
"""The pause after a failure, so that a service that is down is not called a thousand times a second."""


GROUP: Final = Shape(responses=8, criteria=12)
SINGLE: Final = Shape(responses=1, criteria=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The traffic.

    Attributes:
        trainers: The number of closed loops in the bulk lane; 0 for none.
        prompts: The items of one bulk call.
        group: The shape of a bulk item.
        rate_per_s: Interactive calls per second, a Poisson process; 0 for none.
        single: The shape of an interactive item.
        warm_up_s: Seconds of load before the measured window.
        seconds: The length of the window.
        timeout_s: Seconds for one call.
        seed: The seed of texts and arrivals.
    """

    trainers: int = 2
    prompts: int = 1
    group: Shape = GROUP
    rate_per_s: float = 0.0
    single: Shape = SINGLE
    warm_up_s: float = 5.0
    seconds: float = 60.0
    timeout_s: float = 120.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trainers < 0 or self.rate_per_s < 0 or not (self.trainers or self.rate_per_s):
            raise ValueError(
                f"trainers is {self.trainers}, rate_per_s {self.rate_per_s:g}: expected one of them above 0"
            )

    @property
    def end_s(self) -> float:
        """The end of the window, in seconds since the start of the load."""
        return self.warm_up_s + self.seconds

    @property
    def window(self) -> Window:
        """The part of the load that is measured."""
        return Window(begin_s=self.warm_up_s, end_s=self.end_s)


class Driver:
    """Drives one client.

    Args:
        client: The client, which tries every call once.
        plan: The traffic.
        on_time: It is told about twice a second how many seconds of the load have passed.
    """

    def __init__(self, client: AsyncClient, plan: Plan, on_time: Callable[[float], None] = lambda _: None) -> None:
        self._client = client
        self._plan = plan
        self._on_time = on_time
        self._samples: list[Sample] = []
        self._began = 0.0

    async def run(self) -> list[Sample]:
        """Send until the window ends, then wait for calls in flight; the result holds every call that was sent."""
        self._began = self._clock()
        async with asyncio.TaskGroup() as group:
            for number in range(self._plan.trainers):
                group.create_task(self._closed(items(self._plan.group, f"{self._plan.seed}-trainer{number}")))
            if self._plan.rate_per_s:
                group.create_task(self._open(group))
            group.create_task(self._report())
        return self._samples

    async def _closed(self, source: Iterator[ScoreItem]) -> None:
        while self._now() < self._plan.end_s:
            sample, pause_s = await self._call("bulk", tuple(islice(source, self._plan.prompts)), self._now())
            self._samples.append(sample)
            await asyncio.sleep(max(min(pause_s, self._plan.end_s - self._now()), 0))

    async def _open(self, group: asyncio.TaskGroup) -> None:
        source = items(self._plan.single, f"{self._plan.seed}-product")
        for due_s in arrivals(self._plan):
            await asyncio.sleep(max(due_s - self._now(), 0))
            group.create_task(self._single(next(source), due_s))

    async def _single(self, item: ScoreItem, due_s: float) -> None:
        sample, _ = await self._call("interactive", (item,), due_s)
        self._samples.append(sample)

    async def _call(self, lane: Lane, asked: tuple[ScoreItem, ...], due_s: float) -> tuple[Sample, float]:
        """The outcome of a call, and how long to wait before the next one."""
        try:
            answer = await self._client.score(asked, priority=lane, timeout_s=self._plan.timeout_s)
        except PromedicalError as error:
            failed = Sample(lane=lane, due_s=due_s, done_s=self._now(), failures=(error.code,))
            return failed, max(error.retry_after_s or 0.0, _LEAST_PAUSE_S)
        return answered(lane, due_s, self._now(), answer), 0.0

    async def _report(self) -> None:
        while (now := self._now()) < self._plan.end_s:
            self._on_time(now)
            await asyncio.sleep(0.5)

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    def _now(self) -> float:
        return self._clock() - self._began


def arrivals(plan: Plan) -> Iterator[float]:
    """The times of interactive calls, in seconds since the start: a Poisson process until the window ends."""
    draw = random.Random(f"{plan.seed}-arrivals")  # noqa: S311 - no secret
    now = draw.expovariate(plan.rate_per_s)
    while now < plan.end_s:
        yield now
        now += draw.expovariate(plan.rate_per_s)
