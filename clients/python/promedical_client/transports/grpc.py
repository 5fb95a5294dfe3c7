"""The wire over gRPC: one request, one RPC. A gRPC status becomes an exception here and nowhere else."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from promedical import messages as m
from promedical.errors import ERROR_DOMAIN
from promedical.pins import routed_by
from promedical.rubric import InvalidField
from promedical.v1 import requests, responses
from promedical.v1 import reward_pb2 as pb
from promedical.v1.reward_pb2_grpc import RewardServiceStub
from promedical_client.address import Address
from promedical_client.errors import (
    DeadlineError,
    ForkedError,
    InvalidRequestError,
    PromedicalError,
    ProtocolError,
    closed_in_call,
    code_of,
    code_of_grpc_status,
    error_class,
)
from promedical_client.per_loop import PerLoop
from promedical_client.transports.base import Call
from promedical_client.transports.proxies import proxy_for
from promedical_client.transports.reaching import explained
from promedical_client.transports.tls import check_tls_files

Asked = TypeVar("Asked")
Wire = TypeVar("Wire")
Answer = TypeVar("Answer")

_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_GRACE_S: Final = 2.0

CHANNEL_OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    # No retryPolicy: `promedical_client.retry` owns retries, so that attempts are counted once, pushback holds for
    # RESOURCE_EXHAUSTED too and both transports behave alike. The buffer serves gRPC's transparent retries of
    # requests that no server has seen, as when a server's connections come of age.
    ("grpc.per_rpc_retry_buffer_size", _MAX_MESSAGE_BYTES),
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    # gRPC asks DNS again only after 30 s, long after a new replica is listed there.
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    # The server permits a ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # gRPC's own reconnect backoff grows to two minutes, long after a restarted service is back.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)

_TRUSTED_DETAILS: Final = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"})
"""Statuses whose text is gRPC's own if no error of the contract is attached. Texts of others may quote a request."""
_TITLES: Final = {"DEADLINE_EXCEEDED": "the deadline passed"}
"""What other statuses say without a text."""


class GrpcTransport:
    """Calls `promedical.v1.RewardService`; `target` is for tests that do not reach it by host and port."""

    def __init__(self, address: Address, *, target: str | None = None) -> None:
        self._address = address
        self._target = target or address.host
        self._credentials = _credentials(address) if address.is_encrypted else None
        self._authorization = (("authorization", f"Bearer {address.api_key}"),) if address.api_key else ()
        self._proxy = proxy = proxy_for(address)
        self._options = (*CHANNEL_OPTIONS, ("grpc.http_proxy", proxy.url) if proxy else ("grpc.enable_http_proxy", 0))
        self._channels = PerLoop(self._open)

    async def score(self, request: m.ScoreRequest, call: Call) -> m.ScoreResponse:
        """ScoreBatch."""
        message = _encoded(requests.encode_score_request, request)
        return await self._ask("ScoreBatch", message, responses.decode_score_response, call)

    async def rank(self, request: m.RankRequest, call: Call) -> m.RankResponse:
        """RankResponses."""
        message = _encoded(requests.encode_rank_request, request)
        return await self._ask("RankResponses", message, responses.decode_rank_response, call)

    async def list_rubrics(self, call: Call) -> m.RubricList:
        """ListRubrics."""
        return await self._ask("ListRubrics", pb.ListRubricsRequest(), _decode_rubrics, call)

    async def get_rubric(self, name: str, call: Call) -> m.RubricInfo:
        """GetRubric."""
        return await self._ask("GetRubric", pb.GetRubricRequest(id=name), _decode_rubric, call)

    async def get_model(self, call: Call) -> m.ModelInfo:
        """GetModel."""
        return await self._ask("GetModel", pb.GetModelRequest(), responses.decode_model_info, call)

    async def aclose(self) -> None:
        """Close the channel of the running loop."""
        channel = self._channels.take()
        if channel is not None:
            await channel.close(None)

    async def _ask(self, rpc: str, message: Any, decode: Callable[[Wire], Answer], call: Call) -> Answer:
        answer = await self._send(rpc, message, call)
        try:
            return decode(answer)
        except ValueError as error:
            raise ProtocolError(f"{rpc} sent an answer that this version cannot read: {error}") from error

    async def _send(self, rpc: str, message: Any, call: Call) -> Any:
        if self._channels.is_inherited():
            raise ForkedError(
                "gRPC was in use when this process was forked, and it does not survive a fork; make the first call "
                "after the fork, close the client before it, start the process by spawn, or use http://",
                retryable=False,
            )
        stub = RewardServiceStub(self._channels.get())  # type: ignore[no-untyped-call]
        metadata = (("x-request-id", call.request_id), *routed_by(call.oracle).items(), *self._authorization)
        try:
            # gRPC keeps the deadline by itself; the outer one is for a process that has lost gRPC's threads.
            async with asyncio.timeout(call.timeout_s + _GRACE_S):
                return await getattr(stub, rpc)(message, timeout=call.timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            failure = error_from_grpc(error, call.request_id)
            raise (failure if self._proxy else explained(failure, self._address)) from None
        except TimeoutError:
            raise DeadlineError("gRPC did not keep the deadline", request_id=call.request_id) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled the task: its channel was closed, which gRPC reports in the same way.
            raise closed_in_call(call.request_id) from None

    def _open(self) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._target, options=self._options)
        return grpc.aio.secure_channel(self._target, self._credentials, options=self._options)


def error_from_grpc(error: grpc.aio.AioRpcError, request_id: str | None = None) -> PromedicalError:
    """The exception for an RPC that failed, in the server's words if it speaks the contract."""
    status = error.code().name
    info, told_s, pushback_ms = _details(error)
    code = code_of(info)
    delay_s = pushback_ms / 1000 if pushback_ms is not None else told_s
    text = error.details() if code or status in _TRUSTED_DETAILS else _TITLES.get(status)
    code = code or code_of_grpc_status(status, told_to_wait=delay_s is not None)
    may_retry = pushback_ms is None or pushback_ms >= 0  # a negative one means: do not come back (gRFC A6)
    return error_class(code)(
        text or "the server did not say what went wrong",
        retry_after_s=delay_s if may_retry else None,
        request_id=request_id,
        retryable=None if may_retry else False,
    )


def _details(error: grpc.aio.AioRpcError) -> tuple[str | None, float | None, float | None]:
    """The ErrorInfo's reason, the RetryInfo's delay in seconds, the pushback in milliseconds; None where absent."""
    # The stubs call grpc.aio.Metadata a sequence of named tuples; it yields plain pairs. As a mapping it is broken
    # before grpcio 1.80.
    trailers: dict[str, Any] = dict(iter(cast("Any", error.trailing_metadata() or ())))
    reason, delay_s = None, None
    for detail in _rich_details(trailers.get("grpc-status-details-bin", b"")):
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            reason = info.reason
        if detail.Unpack(retry):
            delay_s = retry.retry_delay.ToMilliseconds() / 1000
    return reason, delay_s, _pushback_ms(trailers.get("grpc-retry-pushback-ms", ""))


def _rich_details(encoded: bytes) -> list[Any]:
    try:
        return list(status_pb2.Status.FromString(encoded).details)
    except DecodeError:  # not from a server of ours: the plain status stands
        return []


def _pushback_ms(word: str) -> float | None:
    try:
        return float(int(word))
    except ValueError:
        return None


def _encoded(encode: Callable[[Asked], Wire], request: Asked) -> Wire:
    try:
        return encode(request)
    except InvalidField as error:
        raise InvalidRequestError(str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # their texts may quote the request
        raise InvalidRequestError(
            f"the request cannot be encoded ({type(error).__name__}); compare its fields with promedical.messages"
        ) from None


def _decode_rubrics(wire: pb.ListRubricsResponse) -> m.RubricList:
    return m.RubricList(rubrics=tuple(responses.decode_rubric_info(rubric) for rubric in wire.rubrics))


def _decode_rubric(wire: pb.GetRubricResponse) -> m.RubricInfo:
    return responses.decode_rubric_info(wire.rubric)


def _credentials(address: Address) -> grpc.ChannelCredentials:
    check_tls_files(address)
    return grpc.ssl_channel_credentials(
        root_certificates=_bytes_of(address.ca_file),
        private_key=_bytes_of(address.key_file),
        certificate_chain=_bytes_of(address.cert_file),
    )


def _bytes_of(file: str | Path | None) -> bytes | None:
    return Path(file).read_bytes() if file else None
