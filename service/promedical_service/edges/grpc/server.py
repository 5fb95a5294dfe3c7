"""The gRPC edge: bytes in, bytes out, one RPC per five lines; what all calls share is the desk's.

The key is checked before a message is read. Messages arrive undecoded, so that one that is not protobuf gets an
answer of ours.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar, cast, get_args

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from promedical.errors import ErrorCode
from promedical.v1 import requests, responses
from promedical.v1 import reward_pb2 as pb
from promedical_service.edges.access import presented_key
from promedical_service.edges.desk import REQUEST_ID_HEADER, Call, Desk, request_id
from promedical_service.edges.grpc.field_count import holds_more_fields
from promedical_service.edges.grpc.health import REWARD_SERVICE, HealthService
from promedical_service.edges.grpc.status import abort
from promedical_service.edges.tls import ServerTls
from promedical_service.errors import ServiceError, invalid_field
from promedical_service.health import Health
from promedical_service.limits import CountLimits
from promedical_service.telemetry.tracing import trace_headers
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

Wire = TypeVar("Wire", bound=Message)
Rpc = Callable[[bytes, Oracle, Call], Awaitable[Message]]


class RewardService:
    """The RPCs of promedical.v1.RewardService."""

    def __init__(self, desk: Desk, limits: CountLimits) -> None:
        self._desk = desk
        self._limits = limits

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
            name: grpc.unary_unary_rpc_method_handler(self._handler(name, rpc)) for name, rpc in rpcs.items()
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

    def _handler(self, method: Method, rpc: Rpc) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def work(wire: bytes, oracle: Oracle, call: Call) -> bytes:
            self._desk.hold(call, len(wire))
            return (await rpc(wire, oracle, call)).SerializeToString()

        async def handle(wire: bytes, context: Any) -> bytes:
            call = _arrival(method, context)
            context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
            try:
                return await self._desk.serve(call, lambda oracle: work(wire, oracle, call))
            except ServiceError as refusal:
                return await abort(context, refusal, call.request_id)

        return handle


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


class KeyGuard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # generic in the stubs only
    """Asks for the key before a message is read, which gRPC would hold in memory; health is open to all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Replace the handler by one that refuses, if the key is not good."""
        handler, path = await continuation(handler_call_details), handler_call_details.method
        if handler is None or path.startswith("/grpc.health."):
            return handler
        call = _call(_method(path), handler_call_details.invocation_metadata, None)
        try:
            self._desk.check_key(call)
        except ServiceError as error:
            return _refusing(self._desk, call, error)
        return handler


def build_grpc_server(
    *,
    desk: Desk,
    health: Health,
    limits: CountLimits,
    max_request_bytes: int,
    max_streams: int,
    connection_max_age_s: float,
) -> grpc.aio.Server:
    """The server of the gRPC port, not yet bound. Calls of one connection over `max_streams` are reset unread."""
    options = server_options(
        max_request_bytes=max_request_bytes, max_streams=max_streams, connection_max_age_s=connection_max_age_s
    )
    server = grpc.aio.server(interceptors=[KeyGuard(desk)], options=options)
    server.add_generic_rpc_handlers((RewardService(desk, limits).handlers(),))
    health_pb2_grpc.add_HealthServicer_to_server(HealthService(health), server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection((REWARD_SERVICE, health_name, reflection.SERVICE_NAME), server)
    return server


def build_health_server(health: Health) -> grpc.aio.Server:
    """A server that answers grpc.health.v1 alone, for the plaintext health port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(HealthService(health), server)
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


def server_options(*, max_request_bytes: int, max_streams: int, connection_max_age_s: float) -> list[tuple[str, int]]:
    """Options of the gRPC server; gRPC ignores names that it does not know, so a test looks them up in its library."""
    return [
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.max_connection_age_ms", round(connection_max_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", round(_CALL_S * 1000)),
        ("grpc.max_connection_idle_ms", round(_IDLE_S * 1000)),
        ("grpc.max_concurrent_streams", max_streams),
        ("grpc.server_handshake_timeout_ms", round(_HANDSHAKE_TIMEOUT_S * 1000)),
        ("grpc.keepalive_time_ms", _SERVER_PING_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_CLIENT_PING_S * 1000),
        # Two servers on one port would share its calls in silence.
        ("grpc.so_reuseport", 0),
    ]


def _arrival(method: Method, context: Any) -> Call:
    return _call(method, context.invocation_metadata(), context.time_remaining())


def _method(path: str) -> Method:
    name = path.rpartition("/")[2]
    return cast("Method", name) if name in get_args(Method) else "Other"


def _call(method: Method, metadata: Any, timeout_s: float | None) -> Call:
    headers = {key: value for key, value in metadata or () if isinstance(value, str)}
    return Call(
        transport="grpc",
        method=method,
        request_id=request_id(headers.get(REQUEST_ID_HEADER)),
        key=presented_key(headers),
        traced_by=trace_headers(headers),
        timeout_s=timeout_s,
    )


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


def _refusing(desk: Desk, call: Call, error: ServiceError) -> Any:
    """For any kind of call: a handler of streams reads nothing before it answers."""

    async def fail(_: Oracle) -> NoReturn:
        raise error

    async def refuse(_: Any, context: Any) -> None:
        try:
            await desk.serve(call, fail)
        except ServiceError as refusal:
            await abort(context, refusal, call.request_id)

    return grpc.stream_stream_rpc_method_handler(refuse)
