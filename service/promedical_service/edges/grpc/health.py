"""grpc.health.v1 over `Health`: four names, and no state of its own except open watches."""

import asyncio
from collections import deque
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from promedical.v1 import reward_pb2 as pb
from promedical_service.edges.grpc.messages import BriefReads, Ended
from promedical_service.health import Health, State

REWARD_SERVICE: Final = pb.DESCRIPTOR.services_by_name["RewardService"].full_name
HEALTH_SERVICE: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
LIVENESS: Final = "liveness"
NAMES: Final = frozenset({"", REWARD_SERVICE, LIVENESS, "readiness"})

_MAX_WATCHES: Final = 1024

Changes = asyncio.Queue[State | None]
"""What one watch is told; None to make room for another one."""
_Status = health_pb2.HealthCheckResponse


class HealthService:
    """Liveness serves unless the engine is lost; the other names serve while new requests are taken."""

    def __init__(self, health: Health, reads: BriefReads) -> None:
        self._health = health
        self._reads = reads
        self._watches: deque[Changes] = deque()

    def handlers(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """What a gRPC server registers."""
        handlers: dict[str, Any] = {
            "Check": grpc.stream_stream_rpc_method_handler(self._check),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch),
        }
        return grpc.method_handlers_generic_handler(HEALTH_SERVICE, handlers)

    async def _check(self, _: Any, context: Any) -> None:
        """The status of a name now."""
        name = await self._name(context)
        if name in NAMES:
            await _send(context, self._status(name))
        elif name is not None:
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details("expected the service, liveness, readiness or no name")

    async def _watch(self, _: Any, context: Any) -> None:
        """The status of a name at every change. Ends with the drain, which an open stream would hold up."""
        name = await self._name(context)
        if name in NAMES:
            await self._follow(name, context)
        elif name is not None:
            await _send(context, _Status.SERVICE_UNKNOWN)

    async def _name(self, context: Any) -> str | None:
        """The name asked about; None if the request cannot be read, and the caller then learns why."""
        try:
            asked = await self._reads.read(context, health_pb2.HealthCheckRequest)
        except Ended as ended:
            ended.tell(context)
            return None
        return "" if asked is None else str(asked.service)

    async def _follow(self, name: str, context: Any) -> None:
        states: Changes = asyncio.Queue()
        self._make_room()
        self._watches.append(states)
        unsubscribe = self._health.subscribe(states.put_nowait)
        try:
            await self._send_changes(name, states, context)
        finally:
            unsubscribe()
            if states in self._watches:
                self._watches.remove(states)

    def _make_room(self) -> None:
        """End the oldest watch, whose caller can ask again: if new ones were refused, one caller could block all."""
        if len(self._watches) >= _MAX_WATCHES:
            self._watches.popleft().put_nowait(None)

    async def _send_changes(self, name: str, states: Changes, context: Any) -> None:
        sent = None
        while (state := await states.get()) is not None:
            status = self._status(name)
            if status != sent:
                await _send(context, status)
                sent = status
            if state is State.DRAINING:
                return

    def _status(self, name: str) -> Any:
        serving = self._health.live if name == LIVENESS else self._health.ready
        return _Status.SERVING if serving else _Status.NOT_SERVING


async def _send(context: Any, status: Any) -> None:
    await context.write(_Status(status=status).SerializeToString())
