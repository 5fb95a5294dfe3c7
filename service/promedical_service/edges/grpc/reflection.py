"""gRPC's reflection, for callers with a key: grpcurl asks for it before it sends a message."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from promedical_service.edges.desk import Desk
from promedical_service.edges.grpc.calls import arrival, unless_refused
from promedical_service.edges.grpc.messages import BriefReads, Ended


class ReflectionService:
    """The library's answers to questions that are bounded as those about health are.

    Args:
        desk: Checks the API key.
        services: The full names of the services.
        reads: Reads messages; it is shared with the health service of the port.
    """

    def __init__(self, desk: Desk, services: Sequence[str], reads: BriefReads) -> None:
        self._desk = desk
        self._reads = reads
        self._answers = reflection.aio.ReflectionServicer((*services, reflection.SERVICE_NAME))  # type: ignore[attr-defined]

    def handlers(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """What a gRPC server registers."""
        handlers: dict[str, Any] = {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._answer)}
        return grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, handlers)

    async def _answer(self, _: Any, context: Any) -> None:
        call = arrival("Other", context)
        await unless_refused(context, call, self._desk.serve_page(call, lambda: self._converse(context)))

    async def _converse(self, context: Any) -> None:
        try:
            async for answer in self._answers.ServerReflectionInfo(self._questions(context), context):
                await context.write(answer.SerializeToString())
        except Ended as ended:
            ended.tell(context)

    async def _questions(self, context: Any) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        while question := await self._reads.read(context, reflection_pb2.ServerReflectionRequest):
            yield question
