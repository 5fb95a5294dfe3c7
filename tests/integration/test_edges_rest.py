"""What only REST can get wrong: bodies, headers, paths, connections; and conformance with the OpenAPI document."""

import asyncio
import contextlib
import json
import socket
import time

import httpx
import pytest
import schemathesis
from conformance import check_conformance
from edges_kit import client_of, running, until

from promedical.errors import ErrorCode
from promedical_service.edges.dropins.catalog import DROP_INS
from promedical_service.edges.rest import connection as rest_connection
from promedical_service.errors import ServiceError

GOOD = {
    "items": [
        {
            "id": "a",
            "prompt": "p",
            "responses": ["r"],
            "rubric": {"criteria": [{"id": "c", "text": "t", "dimension": "safety"}]},
        }
    ]
}
JSON = {"content-type": "application/json"}
DROP_IN_PATHS = {path for drop_in in DROP_INS for path in drop_in.paths}


def changed(**changes):
    return json.dumps({"items": [GOOD["items"][0] | changes]}).encode()


BAD_BODIES = {
    "empty": (b"", ""),
    "not json": (b"{", ""),
    "not utf-8": (b'{"items": "\xff"}', ""),
    "lone surrogate": (changed(responses=["r", "\ud800"]), "items[0].responses[1]"),
    "lone surrogate in a name nobody knows": (b'{"items": [{"secret": {"\\udfff": 1}}]}', "items[0]"),
    "deep nesting": (b'{"items": ' + b"[" * 100_000, ""),
    "deep but short": (b'{"items": ' + b"[" * 150 + b"]" * 150 + b"}", "items[0]"),
    "nan": (changed().replace(b'"safety"', b'"proficiency", "weight": NaN'), ""),
    "infinity": (changed().replace(b'"safety"', b'"proficiency", "weight": -Infinity'), ""),
    "field twice": (changed().replace(b'"id": "a"', b'"id": "a", "id": "b"'), ""),
    "not an object": (b"[1, 2]", ""),
    "missing": (b"{}", "items"),
    "unknown field": (changed(respones=[]), "items[0]"),
    "prompt of a wrong kind": (changed(prompt=5), "items[0].prompt"),
    "role": (changed(prompt=[{"role": "robot", "content": "x"}]), "items[0].prompt[0].role"),
    "weight as text": (
        changed().replace(b'"safety"', b'"proficiency", "weight": "1"'),
        "items[0].rubric.criteria[0].weight",
    ),
    "boolean as number": (
        b'{"items": [], "reward_weights": {"excellence_cap": true}}',
        "reward_weights.excellence_cap",
    ),
    "huge integer as id": (changed().replace(b'"a"', b"9" * 5000), ""),
}


@pytest.mark.parametrize("path", ["/v1/score", "/v1/rank"])
@pytest.mark.parametrize("name", BAD_BODIES)
async def test_rest_answers_422_to_a_bad_body(name, path):
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        body, field = BAD_BODIES[name]
        answer = await client.post(path, content=body, headers=JSON)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["type"]) == ("invalid_request", "urn:promedical:problem:invalid_request")
        assert problem["errors"]
        if path == "/v1/score":
            assert problem["field"] == field
        assert server.oracle.started == 0


async def test_rest_huge_numbers_of_a_good_body_are_not_converted_twice():
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        body = changed().replace(b'"safety"', b'"proficiency", "weight": ' + b"9" * 5000)
        assert (await client.post("/v1/score", content=body, headers=JSON)).status_code in (200, 422)


async def test_rest_suggests_the_field_that_was_meant():
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        problem = (await client.post("/v1/score", content=changed(respones=[]), headers=JSON)).json()
        assert problem["errors"] == [
            {"field": "items[0]", "message": 'Unknown field in this object; did you mean "responses"?'}
        ]


async def test_rest_lists_a_bounded_number_of_errors():
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        body = json.dumps({"items": [5] * 100})
        problem = (await client.post("/v1/score", content=body, headers=JSON)).json()
        assert len(problem["errors"]) == 20


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/v1/score/", {}, 404),
        ("GET", "/v1/rubrics/unknown", {}, 404),
        ("GET", "/v1/rubrics/..%2f..%2fetc%2fpasswd", {}, 404),
        ("GET", "/v1/score", {}, 405),
        ("DELETE", "/v1/model", {}, 405),
        ("POST", "/v1/score", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/score", {}, 415),
        ("POST", "/v1/score", JSON | {"content-encoding": "gzip"}, 415),
        ("POST", "/v1/score", JSON | {"x-request-timeout-ms": "soon"}, 422),
        ("POST", "/v1/score", JSON | {"x-request-timeout-ms": "0"}, 422),
        ("POST", "/v1/score", JSON | {"x-request-timeout-ms": "9" * 5000}, 422),
    ],
)
async def test_rest_every_error_is_a_problem_document(method, path, headers, status):
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        answer = await client.request(method, path, content=changed() if method == "POST" else None, headers=headers)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert "server" not in answer.headers
        assert ("allow" in answer.headers) == (status == 405)


async def test_rest_refuses_a_chunked_body_over_the_limit():
    async def chunks():
        for _ in range(100):
            yield b" " * 1000

    async with running(max_request_bytes=5000) as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        answer = await client.post("/v1/score", content=chunks(), headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert (await client.get("/v1/model")).status_code == 200


async def test_rest_refuses_a_declared_length_over_the_limit_before_the_body_arrives():
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.rest)
        head = (
            "POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n"
        )
        writer.write(head.encode())
        assert b" 413 " in await reader.readline()
        writer.close()


async def test_rest_refuses_a_body_far_over_the_limit_in_words():
    async with running(max_request_bytes=100_000) as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        answer = await client.post("/v1/score", content=b" " * 20_000_000, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("size", [40_000, 100_000, 1_000_000])
async def test_rest_refuses_headers_over_the_limit(size):
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        with contextlib.suppress(httpx.TransportError):  # the connection may close before all of it is sent
            refused = await client.get("/v1/model", headers={"x-filler": "x" * size})
            assert refused.status_code == 400
        assert (await client.get("/v1/model")).status_code == 200


@pytest.mark.parametrize("item", ['{"prompt": 5}', "{}"])
@pytest.mark.parametrize(
    ("count", "said"), [(140_000, "items holds 140000; "), (300_000, "The body holds more than 282640 values, ")]
)
async def test_rest_refuses_far_too_many_items_without_looking_into_them(item, count, said):
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        body, started = '{"items": [' + ", ".join([item] * count) + "]}", time.monotonic()
        answer = await client.post("/v1/score", content=body, headers=JSON)
        assert time.monotonic() - started < 20
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert answer.json()["detail"].startswith(said)


async def _trickle(body, pause_s):
    for byte in body:
        yield bytes([byte])
        await asyncio.sleep(pause_s)


async def test_rest_a_body_that_trickles_past_the_deadline_is_answered_by_then():
    head = b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n"
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.rest)
        started = time.monotonic()
        writer.write(head + b"x-request-timeout-ms: 300\r\n\r\n")
        answering = asyncio.create_task(reader.readuntil(b"}"))
        while not answering.done():
            writer.write(b" ")
            await asyncio.sleep(0.02)
        assert 0.3 <= time.monotonic() - started < 20
        answer = answering.result()
        assert b" 504 " in answer.splitlines()[0]
        assert b'"code":"deadline"' in answer
        assert server.oracle.started == 0
        writer.close()


async def test_rest_the_time_that_a_body_takes_counts_against_the_deadline():
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        headers = JSON | {"x-request-timeout-ms": "10000"}
        answer = await client.post("/v1/score", content=_trickle(changed(), 0.005), headers=headers)
        assert answer.status_code == 200
        assert server.oracle.callers[0].timeout_s < 10 - 0.005 * (len(changed()) - 1)


async def test_rest_closes_connections_that_bring_no_request_in_time(monkeypatch):
    monkeypatch.setattr(rest_connection, "_HEAD_TIMEOUT_S", 0.3)
    good = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    async with running() as server:
        for first, rest in ((b"", b""), (b"", b"GET /healthz HTTP/1.1\r\nhost:"), (good, b"GET /he")):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.rest)
            writer.write(first)
            if first:
                await reader.readuntil(b"}")
            writer.write(rest)
            async with asyncio.timeout(30):
                await reader.read()
            writer.close()


async def test_rest_closes_no_connection_whose_request_takes_long(monkeypatch):
    monkeypatch.setattr(rest_connection, "_HEAD_TIMEOUT_S", 0.1)
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        answer = await client.post("/v1/score", content=_trickle(changed(), 0.005), headers=JSON)
        assert answer.status_code == 200
        await asyncio.sleep(0.3)
        assert len(server.server._rest.server_state.connections) == 1


async def test_rest_refuses_connections_over_the_limit(monkeypatch):
    monkeypatch.setattr("promedical_service.server._SPARE_CONNECTIONS", 2)
    async with running(max_concurrent_requests=1) as server:
        opened = [await asyncio.open_connection("127.0.0.1", server.ports.rest) for _ in range(3)]
        late, late_writer = await asyncio.open_connection("127.0.0.1", server.ports.rest)
        with contextlib.suppress(ConnectionError):
            assert await late.read() == b""
        late_writer.close()
        reader, writer = opened[0]
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in await reader.readline()
        for _, writer in opened:
            writer.close()


async def test_rest_bodies_that_are_still_arriving_count_and_those_of_callers_who_left_do_not():
    head = b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 19999\r\n\r\n"
    async with running(max_request_bytes=20_000) as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        opened = [await asyncio.open_connection("127.0.0.1", server.ports.rest) for _ in range(16)]
        for _, writer in opened:
            writer.write(head + b"x" * 19_900)
        await until(lambda: server.server._desk._bytes.total == 16 * 19_900)
        answer = await client.post("/v1/score", content=changed(responses=["x" * 10_000]), headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        for _, writer in opened:
            writer.close()
        await until(lambda: server.server._desk.in_flight == 0)
        answer = await client.post("/v1/score", content=changed(responses=["x" * 10_000]), headers=JSON)
        assert answer.status_code == 200


async def test_rest_overload_status_is_a_setting():
    async with running(overload_status=429) as server, client_of("rest", server) as client:
        server.oracle.error = ServiceError(ErrorCode.OVERLOADED, "Full", retry_after_s=0.2)
        answer = await client.client.get("/v1/model")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


async def test_rest_answers_large_bodies():
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url, timeout=30) as client:
        body = changed(responses=["x" * (8 * 1024 * 1024)])
        assert (await client.post("/v1/score", content=body, headers=JSON)).status_code == 200


async def test_rest_survives_bytes_that_are_not_http():
    async with running() as server:
        with socket.create_connection(("127.0.0.1", server.ports.rest)) as raw:
            raw.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
        async with httpx.AsyncClient(base_url=server.rest_url) as client:
            assert (await client.get("/v1/model")).status_code == 200


async def test_openapi_example_is_accepted_and_docs_are_served():
    async with running() as server, httpx.AsyncClient(base_url=server.rest_url) as client:
        document = (await client.get("/openapi.json")).json()
        for path in ("/v1/score", "/v1/rank"):
            example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
            assert (await client.post(path, json=example)).status_code == 200
        assert "swagger" in (await client.get("/docs")).text


async def test_rest_conforms_to_its_openapi_document():
    async with running() as server:
        schema = await asyncio.to_thread(schemathesis.openapi.from_url, f"{server.rest_url}/openapi.json")

        for operation in schema.get_all_operations():
            judged = operation.ok().path in DROP_IN_PATHS  # their texts must hold together in ways that no schema says
            await asyncio.to_thread(check_conformance, operation.ok(), 20, judged=judged)
        counted = server.metrics.exposition().decode()
        for code in ("ok", "invalid_request"):  # both what the document allows and what it does not was sent
            assert f'code="{code}",method="ScoreBatch",transport="rest"}} 0.0' not in counted
