"""One exception per row of the error table, over both transports; everything foreign is translated."""

import asyncio
import inspect
import math
import pickle
import re
import socket
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
import pytest
from test_client_loopback import Failure, Oracle, item, on_both_transports, serving

import promedical_client
from promedical.errors import ERROR_TABLE, ITEM_ERROR_CODES, ErrorCode
from promedical_client import (
    AsyncClient,
    DeadlineError,
    InternalError,
    InvalidRequestError,
    Message,
    OverloadedError,
    PromedicalError,
    ProtocolError,
    RubricSpec,
    TooLargeError,
    UnavailableError,
    WeightsSpec,
    errors,
)
from promedical_client.transports.grpc import error_from_grpc
from promedical_client.transports.http import error_from_httpx

SECRET = "the patient's own words"


async def failed_with(transport, failure, **options):
    with serving(Oracle(score=failure), transport) as url:
        async with AsyncClient(url, **({"max_attempts": 1} | options)) as client:
            with pytest.raises(PromedicalError) as caught:
                await client.score([item("a")])
    return caught.value


def test_every_code_of_the_table_has_a_class_and_no_item_code_has_one():
    assert {errors.error_class(code).code for code in ERROR_TABLE} == set(ERROR_TABLE)
    assert set(errors._CLASSES).isdisjoint(ITEM_ERROR_CODES)


def test_every_exception_is_exported_and_drawn_in_the_tree():
    raised = {
        name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, PromedicalError)
    }
    assert raised <= set(promedical_client.__all__)
    assert all(f"{name} " in errors.__doc__ or f"{name}\n" in errors.__doc__ for name in raised)


@on_both_transports
@pytest.mark.parametrize("code", list(ERROR_TABLE))
async def test_each_row_of_the_table_arrives_as_its_class(code, transport):
    error = await failed_with(transport, Failure(code))
    assert type(error) is errors.error_class(code)
    assert error.message == "said by the server"
    assert error.retryable is ERROR_TABLE[code].retryable
    assert len(error.request_id) == 36


@on_both_transports
async def test_the_delay_that_the_server_asks_for_is_told(transport):
    error = await failed_with(transport, Failure(ErrorCode.OVERLOADED, retry_after_s=7.5))
    assert error.retry_after_s == 7.5


def test_errors_survive_pickling():
    error = OverloadedError("full", retry_after_s=1.5, request_id="r", retryable=False)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert str(copy) == "overloaded: full (request r)"
    assert error.partial == ()


@pytest.mark.parametrize("status", [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK])
def test_every_grpc_status_without_an_error_of_ours_is_translated(status):
    error = error_from_grpc(grpc.aio.AioRpcError(status, grpc.aio.Metadata(), grpc.aio.Metadata(), "", ""))
    named = {ERROR_TABLE[code].grpc_status for code in ERROR_TABLE} - {"CANCELLED"}
    left_unread = status is grpc.StatusCode.CANCELLED
    other = "UNAVAILABLE" if left_unread else "INTERNAL"
    assert ERROR_TABLE[error.code].grpc_status == (status.name if status.name in named else other)
    assert error.retryable or not left_unread
    assert error.message


@pytest.mark.parametrize(
    ("trailers", "expected"),
    [
        ([], TooLargeError),
        ([("grpc-retry-pushback-ms", "20")], OverloadedError),
        ([("grpc-retry-pushback-ms", "soon")], TooLargeError),
        ([("grpc-status-details-bin", b"\xff\xff")], TooLargeError),
    ],
)
def test_resource_exhausted_without_a_delay_is_too_large(trailers, expected):
    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    error = error_from_grpc(grpc.aio.AioRpcError(status, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), "", ""))
    assert type(error) is expected
    assert error.retryable is (expected is OverloadedError)


def test_a_negative_pushback_forbids_to_come_back():
    trailers = grpc.aio.Metadata(("grpc-retry-pushback-ms", "-1"))
    error = error_from_grpc(
        grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailers, "gone", "")
    )
    assert (error.retryable, error.retry_after_s) == (False, None)


FOREIGN = [
    kind
    for kind in vars(httpx).values()
    if inspect.isclass(kind) and issubclass(kind, httpx.HTTPError) and kind is not httpx.HTTPStatusError
]


@pytest.mark.parametrize("kind", FOREIGN)
def test_every_exception_of_httpx_is_translated(kind):
    error = error_from_httpx(kind("text"))
    if issubclass(kind, httpx.TimeoutException) and kind is not httpx.ConnectTimeout:
        assert type(error) is DeadlineError
    elif issubclass(kind, (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError, httpx.ConnectTimeout)):
        assert type(error) is UnavailableError
    else:
        assert type(error) is ProtocolError


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ErrorCode.INVALID_REQUEST),
        (404, ErrorCode.NOT_FOUND),
        (413, ErrorCode.TOO_LARGE),
        (429, ErrorCode.RATE_LIMITED),
        (500, ErrorCode.INTERNAL),
        (502, ErrorCode.UNAVAILABLE),
        (503, ErrorCode.UNAVAILABLE),
        (504, ErrorCode.DEADLINE),
        (302, ErrorCode.INTERNAL),
    ],
)
async def test_answers_of_proxies_are_told_by_their_status_and_never_quoted(status, expected):
    for body in (f"<html>{SECRET}</html>", f'{{"detail": "{SECRET}", "code": "odd"}}', f'["{SECRET}"]'):
        error = await failed_with("http", Failure(raw_http=(status, {"retry-after": "3"}, body.encode())))
        assert error.code is expected
        assert error.retry_after_s == 3
        assert SECRET not in str(error)


async def test_text_of_a_grpc_server_that_crashed_is_not_repeated():
    error = await failed_with("grpc", Failure(raw_grpc=grpc.StatusCode.UNKNOWN, message=SECRET))
    assert type(error) is InternalError
    assert SECRET not in str(error)


@pytest.mark.parametrize("after", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "nan", "inf"])
async def test_a_delay_that_is_no_number_of_seconds_is_ignored(after):
    error = await failed_with("http", Failure(raw_http=(503, {"retry-after": after}, b"")))
    assert error.retry_after_s is None


@pytest.mark.parametrize("body", [b"hello", b"{}", b'{"model": 3}'])
async def test_an_answer_that_is_not_one_is_a_protocol_error(body):
    error = await failed_with("http", Failure(raw_http=(200, {}, body)))
    assert type(error) is ProtocolError


@on_both_transports
async def test_nobody_listening_is_unavailable(transport):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with AsyncClient(f"{transport}://127.0.0.1:{taken.getsockname()[1]}", max_attempts=1) as client:
            with pytest.raises(UnavailableError):
                await client.model()


async def test_a_connection_that_breaks_is_unavailable():
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, AsyncClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", max_attempts=1) as client:
        with pytest.raises(UnavailableError):
            await client.model()


@on_both_transports
async def test_what_cannot_be_encoded_is_refused_without_being_quoted(transport):
    broken, criterion = SECRET + "\ud800", item("a").rubric.criteria[0]
    jobs = {
        "items[1].responses[0]": item("a", broken),
        "items[1].prompt": replace(item("a"), prompt=broken),
        "items[1].prompt[0].content": replace(item("a"), prompt=(Message(role="user", content=broken),)),
        "items[1].rubric.criteria[0].text": item("a", rubric=RubricSpec(criteria=(replace(criterion, text=broken),))),
        "the request cannot be encoded": item(broken),
    }
    async with AsyncClient(f"{transport}://127.0.0.1:9") as client:
        for field, bad in jobs.items():
            with pytest.raises(InvalidRequestError, match=re.escape(field)) as caught:
                await client.score([item("b"), bad])
            assert SECRET not in str(caught.value)


async def test_two_rubrics_are_refused_by_the_codec_in_its_words():
    async with AsyncClient("grpc://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequestError, match="rubric_id"):
            await client.score([item("a", rubric_id="general")])


async def test_not_a_number_in_a_request_reaches_the_server_as_it_is():
    oracle = Oracle(score=Failure(ErrorCode.INVALID_REQUEST))
    with serving(oracle, "http") as url:
        async with AsyncClient(url) as client:
            with pytest.raises(InvalidRequestError):
                await client.score([item("a")], reward_weights=WeightsSpec(excellence_weight=float("nan")))
    assert math.isnan(oracle.seen[0].request.reward_weights.excellence_weight)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("grpc://host:1", {"max_attempts": 0}),
        ("grpc://host:1", {"max_in_flight": 0}),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(url, options):
    with pytest.raises(ValueError):
        AsyncClient(url, **options)


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_a_missing_tls_file_is_named_at_once(scheme, tmp_path):
    with pytest.raises(FileNotFoundError):
        AsyncClient(f"{scheme}://host:1", ca_file=tmp_path / "ca.pem")


def test_the_client_imports_nothing_that_computes_or_serves():
    folder = Path(promedical_client.__file__).parent
    for word in ("torch", "fastapi", "transformers", "promedical_service", "promedical_model"):
        assert not [path for path in folder.glob("*.py") if f"import {word}" in path.read_text()]
