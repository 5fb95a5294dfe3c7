"""The gRPC edge: bytes in, bytes out, and five lines per RPC; what all calls share is in the desk.

A message is read after its call is admitted: the key is valid and there is room. Messages arrive undecoded, so that
a message that is not protobuf gets an answer of ours.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from promedical.errors import ErrorCode
from promedical.messages import RankRequest, ScoreRequest
from promedical.v1 import requests, responses
from promedical.v1 import reward_pb2 as pb
from promedical_service.edges.call import Call
from promedical_service.edges.desk import Desk
from promedical_service.edges.grpc.answers import COPIES, send_answer
from promedical_service.edges.grpc.calls import LOOK_S, arrival, read_message, unless_refused
from promedical_service.edges.grpc.field_count import holds_more_fields
from promedical_service.edges.grpc.health import HEALTH_SERVICE, REWARD_SERVICE, HealthService
from promedical_service.edges.grpc.messages import (
    MAX_BRIEF_BYTES,
    UNREAD_OPTIONS,
    BriefReads,
    NoPlaceError,
    Places,
    TooLargeError,
    inflated,
)
from promedical_service.edges.grpc.reflection import ReflectionService
from promedical_service.edges.tls import ServerTls
from promedical_service.errors import ServiceError, invalid_field
from promedical_service.health import Health
from promedical_service.limits import CountLimits
from promedical_service.types import ANONYMOUS, Method, Oracle

_MIN_CLIENT_PING_S: Final = 10
_SERVER_PING_S: Final = 30
_MAX_METADATA_BYTES: Final = 16 * 1024
_HANDSHAKE_TIMEOUT_S: Final = 30.0
_IDLE_S: Final = 300.0
_CALL_S: Final = 3600.0
"""How many seconds calls in progress get to finish when their connection reaches its maximum age."""
_SMALL_BYTES: Final = 1024 * 1024
"""Messages up to this size are parsed whatever they hold: that takes about ten milliseconds and a few dozen MiB."""
_WAIT_S: Final = 10.0
"""How many seconds a call waits until its message is read; after that the service is overloaded."""
_RETRY_AFTER_S: Final = 1.0
_UNASKED_S: Final = 24 * 3600
"""How many seconds gRPC lets calls wait for the event loop; it would drop them without an answer of ours."""
_BRIEF_READS_AT_ONCE: Final = 2
"""Such messages should be tiny, but gRPC has one limit for all messages of a port."""
_TINY_READS_AT_ONCE: Final = 256

Wire = TypeVar("Wire", bound=Message)
Decode = Callable[[bytes], Any]
Respond = Callable[[Any, Oracle, Call], Awaitable[bytes]]


class RewardService:
    """The RPCs of promedical.v1.RewardService.

    Args:
        desk: Admits calls and answers them.
        limits: The limits by count.
        max_request_bytes: The size of the largest message, inflated.
    """

    def __init__(self, desk: Desk, limits: CountLimits, max_request_bytes: int) -> None:
        self._desk = desk
        self._limits = limits
        self._max_bytes = max_request_bytes
        self._places = Places(at_once=8, of_one=4, look_s=LOOK_S, looks=6, wait_s=_WAIT_S)
        self._decoding = asyncio.Lock()  # more threads that decode would delay each other and the event loop

    def handlers(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """What a gRPC server registers."""
        rpcs: dict[Method, tuple[Decode, Respond]] = {
            "ScoreBatch": (self._score_request, _score),
            "RankResponses": (self._rank_request, _rank),
            "ListRubrics": (functools.partial(_parsed, pb.ListRubricsRequest), _list_rubrics),
            "GetRubric": (functools.partial(_parsed, pb.GetRubricRequest), _get_rubric),
            "GetModel": (functools.partial(_parsed, pb.GetModelRequest), _get_model),
        }
        handlers: dict[str, Any] = {
            name: grpc.stream_stream_rpc_method_handler(self._handler(name, *rpc)) for name, rpc in rpcs.items()
        }
        return grpc.method_handlers_generic_handler(REWARD_SERVICE, handlers)

    def _score_request(self, wire: bytes) -> ScoreRequest:
        asked = self._parsed_within_limits(pb.ScoreBatchRequest, wire)
        self._limits.check_items(len(asked.items))
        self._limits.check_pins(len(asked.expected_rubrics))
        for index, item in enumerate(asked.items):
            _check_item(item, f"items[{index}]", self._limits)
        return requests.decode_score_request(asked)

    def _rank_request(self, wire: bytes) -> RankRequest:
        asked = self._parsed_within_limits(pb.RankResponsesRequest, wire)
        self._limits.check_pins(len(asked.expected_rubrics))
        _check_item(asked, "", self._limits)
        return requests.decode_rank_request(asked)

    def _parsed_within_limits(self, kind: type[Wire], wire: bytes) -> Wire:
        most = self._limits.max_values
        if len(wire) > _SMALL_BYTES and holds_more_fields(wire, kind, most):
            message = (
                f"The message holds more than {most} fields, more than any request needs; send fewer items per request"
            )
            raise ServiceError(ErrorCode.TOO_LARGE, message)
        return _parsed(kind, wire)

    def _handler(self, method: Method, decode: Decode, respond: Respond) -> Callable[[Any, Any], Awaitable[None]]:
        async def handle(_: Any, context: Any) -> None:
            call = arrival(method, context)

            async def work(oracle: Oracle) -> bytes:
                answer = await respond(await self._asked(context, call, decode), oracle, call)
                self._desk.hold_answer(call, COPIES * len(answer))
                return answer

            with self._desk.in_progress(call):  # until the answer is taken
                answer = await unless_refused(context, call, self._desk.serve(call, work))
                if answer is not None:
                    await send_answer(context, answer)

        return handle

    async def _asked(self, context: Any, call: Call, decode: Decode) -> Any:
        """Read and decode. A message's size is known only when it has arrived, so there must be room for any."""
        caller = context.peer() if call.caller == ANONYMOUS else call.caller
        try:
            async with self._places.place(caller) as place:
                self._desk.hold(call, self._max_bytes)
                wire = await read_message(place, context)
                async with self._decoding:
                    size, asked = await asyncio.to_thread(self._decoded, wire, decode)
        except NoPlaceError:
            message = f"No request of this caller could be read within {_WAIT_S:.3g} s; try again shortly"
            raise ServiceError(ErrorCode.OVERLOADED, message, retry_after_s=_RETRY_AFTER_S) from None
        self._desk.let_go(call, self._max_bytes - size)
        return asked

    def _decoded(self, wire: bytes, decode: Decode) -> tuple[int, Any]:
        try:
            message = inflated(wire, self._max_bytes)
        except TooLargeError:
            text = f"The message is over the limit of {self._max_bytes} bytes; send fewer items per request"
            raise ServiceError(ErrorCode.TOO_LARGE, text) from None
        return len(message), decode(message)


async def _score(asked: ScoreRequest, oracle: Oracle, call: Call) -> bytes:
    call.items, asked = len(asked.items), call.in_lane(asked)
    answer = await oracle.score(asked, call.as_caller())
    return await asyncio.to_thread(lambda: responses.encode_score_response(answer).SerializeToString())


async def _rank(asked: RankRequest, oracle: Oracle, call: Call) -> bytes:
    call.items, asked = 1, call.in_lane(asked)
    answer = await oracle.rank(asked, call.as_caller())
    return await asyncio.to_thread(lambda: responses.encode_rank_response(answer).SerializeToString())


async def _list_rubrics(_: pb.ListRubricsRequest, oracle: Oracle, __: Call) -> bytes:
    rubrics = [responses.encode_rubric_info(rubric) for rubric in oracle.rubrics().rubrics]
    return pb.ListRubricsResponse(rubrics=rubrics).SerializeToString()


async def _get_rubric(asked: pb.GetRubricRequest, oracle: Oracle, _: Call) -> bytes:
    return pb.GetRubricResponse(rubric=responses.encode_rubric_info(oracle.rubric(asked.id))).SerializeToString()


async def _get_model(_: pb.GetModelRequest, oracle: Oracle, __: Call) -> bytes:
    return responses.encode_model_info(oracle.model()).SerializeToString()


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

    Connections beyond `max_at_once` are closed; calls of one connection beyond that number are reset unread.
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


def build_health_server(health: Health, max_at_once: int, connection_max_age_s: float) -> grpc.aio.Server:
    """A server that answers only grpc.health.v1, for the plaintext health port; bounded as that of the gRPC port is."""
    options = server_options(
        max_request_bytes=MAX_BRIEF_BYTES, max_at_once=max_at_once, connection_max_age_s=connection_max_age_s
    )
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
    """Credentials that look for changed files at every handshake."""
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
    """Options of the gRPC server; gRPC ignores unknown names, so a test looks these up in its library."""
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
        ("grpc.server_max_unrequested_time_in_server", _UNASKED_S),
        ("grpc.server_handshake_timeout_ms", round(_HANDSHAKE_TIMEOUT_S * 1000)),
        ("grpc.keepalive_time_ms", _SERVER_PING_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_CLIENT_PING_S * 1000),
        # Without this, two servers on one port would silently share its calls.
        ("grpc.so_reuseport", 0),
    ]


def _parsed(kind: type[Wire], wire: bytes) -> Wire:
    """Decode a message; the parser's own words are not passed on, since they could quote the message."""
    try:
        return kind.FromString(wire)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
    raise invalid_field("", f"The message is not a {name} with text in UTF-8; check what the client sends")


def _check_item(item: pb.ScoreItem | pb.RankResponsesRequest, path: str, limits: CountLimits) -> None:
    """Count the fields before decoding: a few bytes can hold more empty messages than can be decoded in time."""
    limits.check_item(
        path,
        responses=len(item.responses),
        criteria=len(item.rubric.criteria),
        messages=len(item.messages.messages),
    )
