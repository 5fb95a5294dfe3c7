"""The gRPC edge: bytes in, bytes out, one RPC per five lines; what all calls share is the desk's.

A message is read once its call is admitted: the key is good and there is room. Messages arrive undecoded, so that
one that is not protobuf gets an answer of ours.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message

from promedical.errors import ErrorCode
from promedical.v1 import requests, responses
from promedical.v1 import reward_pb2 as pb
from promedical_service.edges.access import ANONYMOUS
from promedical_service.edges.desk import Call, Desk
from promedical_service.edges.grpc.calls import arrival, unless_refused
from promedical_service.edges.grpc.field_count import holds_more_fields
from promedical_service.edges.grpc.health import HEALTH_SERVICE, REWARD_SERVICE, HealthService
from promedical_service.edges.grpc.messages import (
    END,
    MAX_BRIEF_BYTES,
    UNREAD_OPTIONS,
    BriefReads,
    Place,
    Places,
    TooLargeError,
    inflated,
)
from promedical_service.edges.grpc.reflection import ReflectionService
from promedical_service.edges.tls import ServerTls
from promedical_service.errors import ServiceError, invalid_field
from promedical_service.health import Health
from promedical_service.limits import CountLimits
from promedical_service.types import Method, Oracle

_MIN_CLIENT_PING_S: Final = 10
_SERVER_PING_S: Final = 30
_MAX_METADATA_BYTES: Final = 16 * 1024
_HANDSHAKE_TIMEOUT_S: Final = 30.0
_IDLE_S: Final = 300.0
_CALL_S: Final = 3600.0
"""What calls get that are in progress when their connection comes of age."""
_SMALL_BYTES: Final = 1024 * 1024
"""Up to here a message may be parsed whatever it holds: that takes some ten milliseconds and a few dozen MiB."""
_LOOK_S: Final = 10.0
"""What a message gets to arrive, and six times as much while nobody else waits."""
_BRIEF_READS_AT_ONCE: Final = 2
"""Such messages should be tiny, but gRPC has one limit for all that come in on a port."""
_TINY_READS_AT_ONCE: Final = 256

Wire = TypeVar("Wire", bound=Message)
Rpc = Callable[[bytes, Oracle, Call], Awaitable[Message]]


class RewardService:
    """The RPCs of promedical.v1.RewardService.

    Args:
        desk: Admits and answers.
        limits: By count.
        max_request_bytes: Largest message, inflated.
    """

    def __init__(self, desk: Desk, limits: CountLimits, max_request_bytes: int) -> None:
        self._desk = desk
        self._limits = limits
        self._max_bytes = max_request_bytes
        self._places = Places(at_once=8, of_one=4, look_s=_LOOK_S, looks=6)

    def handlers(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """What a gRPC server registers."""
        rpcs: dict[Method, Rpc] = {
            "ScoreBatch": self._score_batch,
            "RankResponses": self._rank_responses,
            "ListRubrics": _list_rubrics,
            "GetRubric": _get_rubric,
            "GetModel": _get_model,
        }
        handlers: dict[str, Any] = {
            name: grpc.stream_stream_rpc_method_handler(self._handler(name, rpc)) for name, rpc in rpcs.items()
        }
        return grpc.method_handlers_generic_handler(REWARD_SERVICE, handlers)

    async def _score_batch(self, wire: bytes, oracle: Oracle, call: Call) -> pb.ScoreBatchResponse:
        asked = self._parsed_within_limits(pb.ScoreBatchRequest, wire)
        self._limits.check_items(len(asked.items))
        for index, item in enumerate(asked.items):
            _check_item(item, f"items[{index}]", self._limits)
        request = requests.decode_score_request(asked)
        call.items = len(request.items)
        return responses.encode_score_response(await oracle.score(request, call.as_caller()))

    async def _rank_responses(self, wire: bytes, oracle: Oracle, call: Call) -> pb.RankResponsesResponse:
        asked = self._parsed_within_limits(pb.RankResponsesRequest, wire)
        _check_item(asked, "", self._limits)
        request = requests.decode_rank_request(asked)
        call.items = 1
        return responses.encode_rank_response(await oracle.rank(request, call.as_caller()))

    def _parsed_within_limits(self, kind: type[Wire], wire: bytes) -> Wire:
        most = self._limits.max_values
        if len(wire) > _SMALL_BYTES and holds_more_fields(wire, kind, most):
            message = f"The message holds over {most} fields, more than any request needs; send fewer items per request"
            raise ServiceError(ErrorCode.TOO_LARGE, message)
        return _parsed(kind, wire)

    def _handler(self, method: Method, rpc: Rpc) -> Callable[[Any, Any], Awaitable[None]]:
        async def handle(_: Any, context: Any) -> None:
            call = arrival(method, context)

            async def work(oracle: Oracle) -> bytes:
                answer = await rpc(await self._message(context, call), oracle, call)
                return answer.SerializeToString()

            answer = await unless_refused(context, call, self._desk.serve(call, work))
            if answer is not None:
                await context.write(answer)

        return handle

    async def _message(self, context: Any, call: Call) -> bytes:
        """The message. Its size is known only when all of it is here, so there must be room for the largest."""
        async with self._places.place(context.peer() if call.caller == ANONYMOUS else call.caller) as place:
            self._desk.hold(call, self._max_bytes)
            message = await self._inflated(await _read(place, context))
        self._desk.let_go(call, self._max_bytes - len(message))
        return message

    async def _inflated(self, wire: bytes) -> bytes:
        try:
            return await asyncio.to_thread(inflated, wire, self._max_bytes)
        except TooLargeError:
            message = f"The message is over the limit of {self._max_bytes} bytes; send fewer items per request"
            raise ServiceError(ErrorCode.TOO_LARGE, message) from None


async def _read(place: Place, context: Any) -> bytes:
    try:
        wire = await place.read(context)
    except TimeoutError:
        message = f"The message took over {_LOOK_S:.3g} s to arrive; send smaller requests or check the network"
        raise ServiceError(ErrorCode.DEADLINE, message) from None
    if wire is END:
        raise invalid_field("", "The call ended before it brought a message; send one")
    return cast("bytes", wire)


async def _list_rubrics(wire: bytes, oracle: Oracle, _: Call) -> pb.ListRubricsResponse:
    _parsed(pb.ListRubricsRequest, wire)
    rubrics = oracle.rubrics().rubrics
    return pb.ListRubricsResponse(rubrics=[responses.encode_rubric_info(rubric) for rubric in rubrics])


async def _get_rubric(wire: bytes, oracle: Oracle, _: Call) -> pb.GetRubricResponse:
    request = _parsed(pb.GetRubricRequest, wire)
    return pb.GetRubricResponse(rubric=responses.encode_rubric_info(oracle.rubric(request.id)))


async def _get_model(wire: bytes, oracle: Oracle, _: Call) -> pb.GetModelResponse:
    _parsed(pb.GetModelRequest, wire)
    return responses.encode_model_info(oracle.model())


def build_grpc_server(
    *,
    desk: Desk,
    health: Health,
    limits: CountLimits,
    max_request_bytes: int,
    max_at_once: int,
    connection_max_age_s: float,
) -> grpc.aio.Server:
    """The server of the gRPC port, not yet bound.

    Connections over `max_at_once` are closed, and as many calls of one connection are reset unread.
    """
    options = server_options(
        max_request_bytes=max_request_bytes, max_at_once=max_at_once, connection_max_age_s=connection_max_age_s
    )
    server = grpc.aio.server(options=options)
    reads = BriefReads(_BRIEF_READS_AT_ONCE)
    services = (
        RewardService(desk, limits, max_request_bytes),
        HealthService(health, reads),
        ReflectionService(desk, (REWARD_SERVICE, HEALTH_SERVICE), reads),
    )
    server.add_generic_rpc_handlers(tuple(service.handlers() for service in services))
    return server


def build_health_server(health: Health) -> grpc.aio.Server:
    """A server that answers grpc.health.v1 alone, for the plaintext health port."""
    options = [*UNREAD_OPTIONS, ("grpc.max_receive_message_length", MAX_BRIEF_BYTES), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((HealthService(health, BriefReads(_TINY_READS_AT_ONCE)).handlers(),))
    return server


def bind(server: grpc.aio.Server, address: str, tls: ServerTls | None) -> int:
    """Bind `host:port`; returns the port.

    Raises:
        RuntimeError: The address cannot be bound.
    """
    if tls is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, _credentials(tls))


def _credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """Every handshake asks whether the files have changed."""
    version = tls.version

    def configuration() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(tls.key, tls.certificate)], root_certificates=tls.client_ca)

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal version
        if version == tls.version:
            return None
        version = tls.version
        return configuration()

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        changed,  # type: ignore[arg-type] # None is what the library asks for where nothing changed
        require_client_authentication=tls.client_ca is not None,
    )


def server_options(*, max_request_bytes: int, max_at_once: int, connection_max_age_s: float) -> list[tuple[str, int]]:
    """Of the gRPC server; gRPC ignores names that it does not know, so a test looks them up in its library."""
    return [
        *UNREAD_OPTIONS,
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.max_connection_age_ms", round(connection_max_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", round(_CALL_S * 1000)),
        ("grpc.max_connection_idle_ms", round(_IDLE_S * 1000)),
        ("grpc.max_allowed_incoming_connections", max_at_once),
        ("grpc.max_concurrent_streams", max_at_once),
        ("grpc.server_handshake_timeout_ms", round(_HANDSHAKE_TIMEOUT_S * 1000)),
        ("grpc.keepalive_time_ms", _SERVER_PING_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_CLIENT_PING_S * 1000),
        # Two servers on one port would share its calls in silence.
        ("grpc.so_reuseport", 0),
    ]


def _parsed(kind: type[Wire], wire: bytes) -> Wire:
    """Decode a message; the parser's own words could quote it and are not passed on."""
    try:
        return kind.FromString(wire)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
    raise invalid_field("", f"The message is not a {name} with texts in UTF-8; check what the client sends")


def _check_item(item: pb.ScoreItem | pb.RankResponsesRequest, path: str, limits: CountLimits) -> None:
    """Count before decoding: bytes hold far more empty messages than can be made into objects in time."""
    limits.check_item(
        path,
        responses=len(item.responses),
        criteria=len(item.rubric.criteria),
        messages=len(item.messages.messages),
    )
