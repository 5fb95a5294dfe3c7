"""One call as the edges know it, whatever it came over: who calls, for how long, and what became of it."""

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from promedical.errors import ErrorCode
from promedical.messages import RankRequest, ScoreRequest
from promedical_service.errors import ServiceError
from promedical_service.tenancy.tenant import NOBODY, Tenant
from promedical_service.types import Caller, Lane, Method, Transport

REQUEST_ID_HEADER: Final = "x-request-id"
_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

AskedT = TypeVar("AskedT", ScoreRequest, RankRequest)


@dataclass(slots=True, kw_only=True)
class Call:
    """One call. The edge sets `items`, `lane` and `fingerprint` when it knows them; the desk sets the rest."""

    transport: Transport
    method: Method
    request_id: str
    key: str | None = None
    """The API key as presented; not logged."""
    traced_by: dict[str, str] = field(default_factory=dict)
    """The caller's trace context."""
    timeout_s: float | None = None
    tenant: Tenant = NOBODY
    spend: Callable[[Tenant, int], None] = lambda *_: None
    queue_share: float = 1.0
    items: int | None = None
    lane: Lane = None
    fingerprint: str | None = None
    """The oracle's fingerprint, if the answer has no place for it; `rubrics` and the number `unscored` likewise."""
    rubrics: str = ""
    unscored: int | None = None
    code: str = ErrorCode.INTERNAL
    in_progress: bool = False
    admitted: bool = False
    """Whether it takes one of the places for calls."""
    held_bytes: int = 0
    answer_bytes: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def caller(self) -> str:
        """The name of the key's owner."""
        return self.tenant.name

    @property
    def seconds(self) -> float:
        """Time since arrival."""
        return time.monotonic() - self.started

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the caller stops waiting, at least 0; None if the caller did not say."""
        return None if self.timeout_s is None else max(0.0, self.timeout_s - self.seconds)

    @property
    def expired(self) -> bool:
        """Whether the caller has stopped waiting."""
        return self.remaining_s == 0

    def as_caller(self) -> Caller:
        """The caller as the oracle knows it; the deadline counts from arrival.

        Raises:
            ServiceError: deadline, if the deadline passed while the request was read.
        """
        if self.expired:
            message = f"The deadline of {self.timeout_s:.3g} s passed while the request was read; allow more time"
            raise ServiceError(ErrorCode.DEADLINE, message)
        tenant = self.tenant
        return Caller(
            key=tenant.name,
            timeout_s=self.remaining_s,
            queue_share=self.queue_share if tenant.queue_share is None else tenant.queue_share,
            spend=partial(self.spend, tenant),
            request_ids=(self.request_id,),
        )

    def in_lane(self, request: AskedT) -> AskedT:
        """The request in a lane that is for this caller; note the lane.

        Raises:
            ServiceError: forbidden, if it asks for another one.
        """
        self.lane = self.tenant.lane(request.priority, request.lane)
        return request if request.lane == self.lane else replace(request, priority=self.lane)


def request_id(proposed: str | None) -> str:
    """The caller's request id if it is a short plain word, else a new one."""
    if proposed and _SANE_REQUEST_ID.fullmatch(proposed):
        return proposed
    return uuid.uuid4().hex
