"""The audit of a real process: over both transports and drop-ins, and where it cannot be written."""

import asyncio
import hashlib
import hmac
import json

import grpc
import httpx
import pytest
from edges_kit import Grpc, Rest, until

from gated import item
from promedical import messages as m
from serving import running_server

SALT = b"0123456789abcdef"
CANARY = "Kanarienvogel"
ANSWERS = tuple(f"Answer {number}, {CANARY}." for number in range(6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("audit")
    (made / "salt").write_bytes(SALT + b"\n")
    (made / "keys").write_text("trainer:key-of-the-trainer\n")
    return made


@pytest.fixture(scope="module")
def service(folder):
    files = (f"--audit-file={folder / 'audit.jsonl'}", f"--audit-salt-file={folder / 'salt'}")
    with running_server("--engine=fake", "--gather-s=1", f"--keys-file={folder / 'keys'}", *files) as server:
        yield server


def sent_as(request_id):
    return {"x-api-key": "key-of-the-trainer", "x-request-id": request_id}


async def records_of(folder, *request_ids, count):
    def found():
        read = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
        return [record for record in read if record["request_id"] in request_ids]

    await until(lambda: len(found()) >= count)
    assert CANARY not in (folder / "audit.jsonl").read_text()
    return found()


async def test_every_answered_response_has_the_record_of_its_answer(service, folder):
    async with httpx.AsyncClient(base_url=service.rest_url, timeout=60) as client:
        body = {"items": [{"id": "a", "prompt": f"Safe, {CANARY}?", "responses": [*ANSWERS, ""]}]}
        body["items"][0]["rubric_id"] = "general-medical"
        answer = (await client.post("/v1/score", json=body, headers=sent_as("score-1"))).json()
    records = await records_of(folder, "score-1", count=7)
    responses = answer["items"][0]["result"]["responses"]
    for number, (record, response) in enumerate(zip(records, responses, strict=True)):
        assert (record["caller"], record["item"], record["response"]) == ("trainer", "a", number)
        assert record["fingerprint"] == answer["model"]["fingerprint"]
        assert record["rubric"] == {"name": "general-medical@1", "sha256": answer["rubrics"][0]["sha256"]}
        if response.get("scores") is None:
            assert record["error"] == response["error"]["code"] == "empty_response"
            continue
        scores = response["scores"]
        assert {name: record[name] for name in ("reward", "rank", "vetoed")} == {
            name: scores[name] for name in ("reward", "rank", "vetoed")
        }
        told = [{name: each[name] for name in record["verdicts"][0]} for each in scores["criteria"]]
        assert record["verdicts"] == told
        harmed = [each["id"] for each in scores["criteria"] if each["dimension"] == "safety" and not each["satisfied"]]
        assert record["vetoed_by"] == harmed
        assert record["vetoed"] == bool(harmed)
    assert records[0]["response_hash"] == hmac.new(SALT, ANSWERS[0].encode(), hashlib.sha256).hexdigest()


async def test_grpc_and_ranking_are_audited_alike(service, folder):
    ranked = m.RankRequest(prompt=f"Safe, {CANARY}?", responses=ANSWERS[:2], rubric_id="general-medical")
    async with grpc.aio.insecure_channel(service.grpc_target) as channel:
        client = Grpc(channel)
        scored = m.ScoreRequest(items=(item("b", ANSWERS[:3]),))
        assert (await client.ask("ScoreBatch", scored, headers=sent_as("grpc-1"))).code == "ok"
        assert (await client.ask("RankResponses", ranked, headers=sent_as("grpc-2"))).code == "ok"
    inline = await records_of(folder, "grpc-1", count=3)
    assert [(record["rubric"], len(record["verdicts"])) for record in inline] == [(None, 3)] * 3
    assert [record["item"] for record in await records_of(folder, "grpc-2", count=2)] == ["rank", "rank"]


async def test_dropin_requests_that_are_judged_together_keep_their_ids(service, folder):
    async with httpx.AsyncClient(base_url=service.rest_url, timeout=60) as client:
        sent = [
            client.post(
                "/rerank",
                json={"query": f"Safe, {CANARY}?", "texts": [ANSWERS[number]]},
                headers=sent_as(f"d-{number}"),
            )
            for number in range(3)
        ]
        assert [reply.status_code for reply in await asyncio.gather(*sent)] == [200] * 3
    records = await records_of(folder, "d-0", "d-1", "d-2", count=3)
    hashes = {record["request_id"]: record["response_hash"] for record in records}
    assert hashes == {f"d-{n}": hmac.new(SALT, ANSWERS[n].encode(), hashlib.sha256).hexdigest() for n in range(3)}


async def test_audit_that_cannot_be_written_fails_no_request_and_is_counted():
    with running_server("--engine=fake", "--audit-file=/dev/full") as server:
        async with httpx.AsyncClient(base_url=server.rest_url, timeout=60) as client:
            for _ in range(3):
                assert (await Rest(client).ask("ScoreBatch", m.ScoreRequest(items=(item(),)))).code == "ok"
            while 'promedical_audit_records_total{fate="dropped"} 3.0' not in (await client.get("/metrics")).text:
                pass
    (line,) = server.events("audit records cannot be written")
    assert line["reason"] == "No space left on device"
