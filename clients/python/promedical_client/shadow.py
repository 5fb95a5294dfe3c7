"""Shadow scoring by a client: a candidate scores a share of its requests too, and both answers are compared.

Callers get the live answer, as soon as it is there. The service can do the same for all of its callers; this is for
those who may not change the service.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.hashes import prompt_hash
from promedical.shadow import Outcome, compared, question, sampled, shadow_id
from promedical.shadow_records import Comparison
from promedical_client.address import Address
from promedical_client.checks import check_answer
from promedical_client.errors import PromedicalError
from promedical_client.per_loop import PerLoop
from promedical_client.transports.base import Call, Transport
from promedical_client.transports.opening import open_transport

_CALLER: Final = "sdk"


class Shadow:
    """A candidate beside a client's oracle: `Client(url, shadow=Shadow("grpc://candidate:50051"))`.

    A request of the sample is sent to the candidate once, in the bulk lane, after its live answer came. Where the
    candidate is down, slow or full, requests are counted as failed or dropped, and nothing else happens. Each
    comparison is one line of the logger `promedical.shadow`, without text.

    Args:
        candidate: Its URL, or an `Address` with its key and TLS files.
        share: The share of requests; the content decides, so a request that is sent again is in or out as before.
        file: Gets one JSON line per response, without its text, for `promedical-bench compare-shadow`.
        on_comparison: Called with each comparison, in the client's event loop.
        timeout_s: The longest time that the candidate may take.
        max_in_flight: How many requests may wait for the candidate; more are dropped.
        transport: A transport to use instead of the candidate's URL.

    Attributes:
        counts: How many requests were "sampled", and of those "dropped", "failed" or "compared".

    Raises:
        MisconfiguredError: The address cannot be used.
        OSError: A TLS file cannot be read.
    """

    def __init__(
        self,
        candidate: str | Address,
        *,
        share: float = 0.05,
        file: str | Path | None = None,
        on_comparison: Callable[[Comparison], None] = lambda _: None,
        timeout_s: float = 60.0,
        max_in_flight: int = 4,
        transport: Transport | None = None,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}; expected a number from 0 to 1")
        address = candidate if isinstance(candidate, Address) else Address(candidate)
        self.counts: Counter[str] = Counter()
        self._candidate = transport or open_transport(address)
        self._share = share
        self._file = None if file is None else Path(file)
        self._on_comparison = on_comparison
        self._timeout_s = timeout_s
        self._max_in_flight = max_in_flight
        self._salt = secrets.token_bytes(32)
        self._tasks: PerLoop[set[asyncio.Task[None]]] = PerLoop(set)
        self._failing: ErrorCode | None = None
        self._log = logging.getLogger("promedical.shadow")

    def over(self, live: Transport) -> Transport:
        """The live transport, whose answers are offered to the candidate."""
        return _Shadowed(live, self)

    def offer(
        self, request: m.ScoreRequest, outcomes: tuple[m.ItemOutcome, ...], model: m.ModelRef, request_id: str
    ) -> None:
        """Take an answered request if it is in the sample and there is room; this neither waits nor fails."""
        if not sampled(request, self._share):
            return
        self.counts["sampled"] += 1
        tasks = self._tasks.get()
        if len(tasks) >= self._max_in_flight:
            self.counts["dropped"] += 1
            return
        task = asyncio.ensure_future(self._ask(request, outcomes, model, request_id))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def aclose(self) -> None:
        """Cancel what is in flight in the running event loop, and close its connections."""
        tasks = self._tasks.take() or set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._candidate.aclose()

    async def _ask(
        self, request: m.ScoreRequest, outcomes: tuple[m.ItemOutcome, ...], model: m.ModelRef, request_id: str
    ) -> None:
        asked = question(request)
        try:
            call = Call(timeout_s=self._timeout_s, request_id=shadow_id(request_id))
            answer = await self._candidate.score(asked, call)
            check_answer(asked, answer)
            responses = compared(asked.items, outcomes, answer.items)
        except (PromedicalError, ValueError) as error:  # a ValueError: the live answer is not whole, as the client says
            self._failed(error.code if isinstance(error, PromedicalError) else ErrorCode.INTERNAL)
            return
        self._failing = None
        comparison = Comparison(
            id=secrets.token_hex(8),
            at=time.time(),
            caller=_CALLER,
            request_ids=(request_id,) * len(responses),
            items=tuple(item.id for item in asked.items),
            prompt_hashes=tuple(prompt_hash(item, self._salt) for item in asked.items),
            live=model,
            candidate=answer.model,
            responses=responses,
        )
        await self._tell(comparison)

    def _failed(self, code: ErrorCode) -> None:
        """Count it; the log has one line until the reason changes or an answer comes."""
        if self._failing != code:
            self._log.warning("the candidate does not answer: %s", code)
        self._failing = code
        self.counts["failed"] += 1

    async def _tell(self, comparison: Comparison) -> None:
        self._log.info("%s", summary(comparison))
        if self._file is not None:
            try:
                await asyncio.to_thread(_append, self._file, b"".join(comparison.lines()))
            except OSError as error:
                self._log.warning("%s cannot be written: %s", self._file, error.strerror)
        self._on_comparison(comparison)
        self.counts["compared"] += 1


class _Shadowed:
    """Implements `Transport` over the live one."""

    def __init__(self, live: Transport, shadow: Shadow) -> None:
        self._live = live
        self._shadow = shadow
        self.list_rubrics = live.list_rubrics
        self.get_rubric = live.get_rubric
        self.get_model = live.get_model

    async def score(self, request: m.ScoreRequest, call: Call) -> m.ScoreResponse:
        answer = await self._live.score(request, call)
        self._shadow.offer(request, answer.items, answer.model, call.request_id)
        return answer

    async def rank(self, request: m.RankRequest, call: Call) -> m.RankResponse:
        answer = await self._live.rank(request, call)
        scored = request.as_score_request()
        outcome = m.ItemOutcome(id=scored.items[0].id, error=answer.error, result=answer.result)
        self._shadow.offer(scored, (outcome,), answer.model, call.request_id)
        return answer

    async def aclose(self) -> None:
        await self._shadow.aclose()
        await self._live.aclose()


def summary(comparison: Comparison) -> str:
    """What a comparison found, in one line without text."""
    both = [each for each in comparison.responses if each.outcome is Outcome.COMPARED]
    vetoes = Counter(each.veto for each in both)
    flips = Counter(flip for each in both for _, flip in each.verdicts)
    moved = f"{sum(each.reward_change for each in both) / len(both):+.3f}" if both else "-"
    return (
        f"compared {len(both)} of {len(comparison.responses)} responses, {comparison.live.fingerprint} with "
        f"{comparison.candidate.fingerprint}: {flips.total()} verdicts, {flips['to_met']} to met, "
        f"{flips['to_not_met']} to not met; vetoes lifted {vetoes['lifted']}, added {vetoes['added']}; reward {moved}"
    )


def _append(file: Path, lines: bytes) -> None:
    with file.open("ab") as stream:
        stream.write(lines)
