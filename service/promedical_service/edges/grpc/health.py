"""grpc.health.v1 over `Health`: four names, no state of its own."""

import asyncio
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from promedical.v1 import reward_pb2 as pb
from promedical_service.health import Health, State

REWARD_SERVICE: Final = pb.DESCRIPTOR.services_by_name["RewardService"].full_name
LIVENESS: Final = "liveness"
NAMES: Final = frozenset({"", REWARD_SERVICE, LIVENESS, "readiness"})

_Status = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # the generated base is untyped
    """Liveness serves unless the engine is lost; the other names serve while new requests are taken."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802
        """The status of a name now."""
        if request.service not in NAMES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "expected the service, liveness, readiness or no name")
        return _Status(status=self._status(request.service))

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802
        """The status of a name at every change. Ends with the drain, which an open stream would hold up."""
        if request.service not in NAMES:
            await context.write(_Status(status=_Status.SERVICE_UNKNOWN))
            return
        states: asyncio.Queue[State] = asyncio.Queue()
        unsubscribe = self._health.subscribe(states.put_nowait)
        try:
            await self._send_changes(request.service, states, context)
        finally:
            unsubscribe()

    async def _send_changes(self, name: str, states: "asyncio.Queue[State]", context: Any) -> None:
        sent = None
        while True:
            state = await states.get()
            status = self._status(name)
            if status != sent:
                await context.write(_Status(status=status))
                sent = status
            if state is State.DRAINING:
                return

    def _status(self, name: str) -> Any:
        serving = self._health.live if name == LIVENESS else self._health.ready
        return _Status.SERVING if serving else _Status.NOT_SERVING
