"""Admission: which requests may wait for the engine. It alone owns the queue, and does not know the engine.

A request is admitted whole or refused whole. A full queue refuses it at once and says when to come back. What one key
has put there never keeps another out: a key that waits for less than an even part is always let in. An admitted request
leaves the queue in a batch, or because its caller went away, or because nothing can be scored any more.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from promedical.errors import ErrorCode
from promedical.messages import Priority
from promedical_model.tree.token_tree import TokenTree
from promedical_service.batching.cutting import cut
from promedical_service.batching.estimate import ThroughputEstimate
from promedical_service.batching.job import TreeJob
from promedical_service.batching.queue import JobQueue, Part
from promedical_service.errors import ServiceError
from promedical_service.tenancy.sharing import full
from promedical_service.types import Caller, ScoringEvents

_INTERACTIVE_RESERVE = 8
_RETRY_AFTER_S = (0.1, 30.0)


def lane_capacity(max_queue_tokens: int, lane: Priority) -> int:
    """The most tokens that may wait when a lane admits more: bulk leaves an eighth of the queue to interactive."""
    return max_queue_tokens - (max_queue_tokens // _INTERACTIVE_RESERVE if lane == "bulk" else 0)


@dataclass(eq=False, slots=True)
class Reservation:
    """How many tokens a request of a key that is being rendered will probably need."""

    tokens: int
    key: str

    def correct(self, estimate: int, trees: Sequence[TokenTree]) -> None:
        """Note that the part of the request with this estimate turned out to be these trees."""
        self.tokens = max(self.tokens + sum(cut(tree).tree.unique_tokens for tree in trees) - estimate, 0)


class Admission:
    """The queue of one process, and who may enter it.

    Args:
        events: It is told how long the queue is.
        estimate: How fast the engine is.
        max_queue_tokens: Unique tokens that may wait; requests beyond that are refused at once.
        bulk_share: The part of the engine that bulk keeps while interactive requests wait.

    Attributes:
        changed: It is set when there may be something new for the engine.
    """

    def __init__(
        self, events: ScoringEvents, estimate: ThroughputEstimate, *, max_queue_tokens: int, bulk_share: float = 0.25
    ) -> None:
        self.changed = asyncio.Event()
        self._events = events
        self._estimate = estimate
        self._max_queue_tokens = max_queue_tokens
        self._bulk_share = bulk_share
        self._queue: JobQueue[TreeJob] = JobQueue(bulk_share)
        self._reservations: set[Reservation] = set()
        self._closed: ServiceError | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing is admitted any more."""
        return self._closed is not None

    @property
    def filled(self) -> float:
        """The part of the queue that is taken, by what waits and by what is being rendered."""
        return self._held_tokens / self._max_queue_tokens

    def check_open(self) -> None:
        """Refuse what can no longer be answered.

        Raises:
            ServiceError: unavailable.
        """
        if self._closed is not None:
            raise ServiceError(self._closed.code, self._closed.message)

    @contextmanager
    def reserved(self, estimate: int, lane: Priority, caller: Caller, timeout_s: float) -> Iterator[Reservation]:
        """Hold room for about `estimate` tokens while a request is rendered, or refuse the request before that work.

        Raises:
            ServiceError: unavailable; or overloaded, also if the requests ahead take longer than `timeout_s`.
        """
        self.check_open()
        estimate = min(estimate, int(self._capacity("bulk") * caller.queue_share))
        held = self._queue.held()
        for reservation in self._reservations:
            held[reservation.key] += reservation.tokens
        self._check_room(estimate, lane, caller, held)
        wait_s = self._expected_wait_s(lane, caller.key)
        if 0 < timeout_s < wait_s:
            raise self._come_back_in(wait_s)
        reservation = Reservation(estimate, caller.key)
        self._reservations.add(reservation)
        try:
            yield reservation
        finally:
            self._reservations.remove(reservation)

    def admit(self, trees: Sequence[TokenTree], lane: Priority, caller: Caller) -> list[TreeJob]:
        """Put all trees of a request, which have one branch per response, into the queue, or none of them.

        Raises:
            ServiceError: overloaded (with when to come back), too_large (it could never be admitted), unavailable, or
                what `caller.spend` raises.
        """
        self.check_open()
        cuts = [cut(tree) for tree in trees]
        needed = sum(each.tree.unique_tokens for each in cuts)
        self._check_size(needed, lane, caller.queue_share)
        self._check_room(needed, lane, caller, self._queue.held())
        caller.spend(needed)
        loop = asyncio.get_running_loop()
        jobs = [TreeJob(cut=each, lane=lane, key=caller.key, future=loop.create_future()) for each in cuts]
        for job in jobs:
            self._queue.add(job)
        self._report_queue()
        self.changed.set()
        return jobs

    def abandon(self, jobs: Sequence[TreeJob]) -> None:
        """Drop jobs that nobody waits for any more; results of branches that the engine already has are discarded."""
        for job in jobs:
            self._queue.discard(job)
            job.future.cancel()
        self._report_queue()

    def close(self, error: ServiceError) -> None:
        """Answer everything that waits, and everything that comes from now on, with the error."""
        self._closed = self._closed or error
        for job in self._queue.jobs():
            self._queue.discard(job)
            job.fail(error)
        self._report_queue()
        self.changed.set()

    def next_lane(self) -> Priority | None:
        """The lane whose turn it is; None if nothing waits."""
        return self._queue.next_lane() if self._queue else None

    def waits(self, lane: Priority) -> bool:
        """Whether anything waits in a lane."""
        return self._queue.size(lane)[0] > 0

    def take(self, budget_tokens: int, lane: Priority | None) -> list[Part[TreeJob]]:
        """The next batch, as `JobQueue.take`; something must wait."""
        parts = self._queue.take(budget_tokens, lane)
        self._report_queue()
        return parts

    def _check_size(self, needed: int, lane: Priority, share: float) -> None:
        capacity = int(self._capacity(lane) * share)
        if needed > capacity:
            whose = f"the {lane} lane holds" if share == 1 else f"this API key may fill the {lane} lane up to"
            raise ServiceError(
                ErrorCode.TOO_LARGE,
                f"the request holds {needed} unique tokens; {whose} {capacity}. Send fewer items at once",
            )

    def _check_room(self, needed: int, lane: Priority, caller: Caller, held: Mapping[str, int]) -> None:
        capacity, share = self._capacity(lane), caller.queue_share
        match full(held, caller.key, needed, most=capacity, share=share):
            case "own" if share < 1:
                raise self._own_room_full(held.get(caller.key, 0), int(capacity * share), needed)
            case "own" | "all":
                raise self._overloaded(needed)

    @property
    def _held_tokens(self) -> int:
        return self._queue.tokens + sum(reservation.tokens for reservation in self._reservations)

    def _capacity(self, lane: Priority) -> int:
        return lane_capacity(self._max_queue_tokens, lane)

    def _expected_wait_s(self, lane: Priority, key: str) -> float:
        """The estimated seconds until a request of this key that arrives now would be computed."""
        ahead = self._queue.ahead(lane, key)
        if lane == "bulk":
            return (ahead + self._queue.size("interactive")[1]) / self._estimate.tokens_per_s
        return ahead / self._estimate.tokens_per_s / (1 - self._bulk_share)

    def _overloaded(self, needed: int) -> ServiceError:
        excess = max(self._held_tokens + needed - self._max_queue_tokens, needed, 1)
        return self._come_back_in(excess / self._estimate.tokens_per_s)

    def _own_room_full(self, own: int, room: int, needed: int) -> ServiceError:
        seconds = max(own + needed - room, 1) / self._estimate.tokens_per_s
        return _come_back(f"{own} of the {room} tokens that this API key may fill wait already", seconds)

    def _come_back_in(self, seconds: float) -> ServiceError:
        return _come_back(f"{self._held_tokens} of {self._max_queue_tokens} tokens wait already", seconds)

    def _report_queue(self) -> None:
        for lane in ("interactive", "bulk"):
            self._events.queue_changed(lane, *self._queue.size(lane))


def _come_back(full: str, seconds: float) -> ServiceError:
    wait_s = min(max(seconds, _RETRY_AFTER_S[0]), _RETRY_AFTER_S[1])
    message = f"{full}; try again in {wait_s:.1f} s, or send to another replica"
    return ServiceError(ErrorCode.OVERLOADED, message, retry_after_s=wait_s)
