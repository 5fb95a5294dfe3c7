"""Shadow scoring by real processes: two services with small weights, and candidates that are down, hang or differ."""

import asyncio
import contextlib
import json
import re
import signal
import socket
from collections import Counter
from dataclasses import replace

import grpc
import httpx
import pytest
import trustme
from edges_kit import Grpc, Rest, until
from typer.testing import CliRunner

import gated
from gated import item
from models import tiny_bundle
from promedical import messages as m
from promedical_bench.cli import app
from promedical_client import AsyncClient, Client, Shadow
from serving import RunningServer, free_port, running_server

pytestmark = pytest.mark.shadow

CANARY = "Kanarienvogel"
KEY = "key-of-the-live-service"
TRAINER = "key-of-the-trainer-0123456789"
DOSE = {"id": "dose", "text": f"Names the dose, {CANARY}.", "dimension": "proficiency"}
HARM = {"id": "harm", "text": f"Advises harm, {CANARY}.", "dimension": "safety"}
ANSWERS = tuple(f"Answer {number}, {CANARY}." for number in range(4))


def rubrics(folder, **files):
    folder.mkdir()
    for name, criteria in files.items():
        (folder / f"{name}@1.json").write_text(json.dumps({"title": "A rubric", "criteria": criteria}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("shadow")
    for number, name in enumerate(("old", "new")):
        tiny_bundle(made / name, "llama", seed=number)
    rubrics(made / "live-rubrics", house=[DOSE, HARM], moved=[DOSE])
    rubrics(made / "candidate-rubrics", house=[DOSE, HARM], moved=[DOSE, HARM])
    (made / "keys").write_text(f"shadow:{KEY}\n")
    (made / "tenants").write_text(f"trainer:{TRAINER}\n")
    (made / "key").write_text(f"{KEY}\n")
    return made


@pytest.fixture(scope="module")
def candidate(folder):
    flags = (f"--model={folder / 'new'}", f"--rubric-dir={folder / 'candidate-rubrics'}")
    with running_server(*flags, "--threads=1", f"--keys-file={folder / 'keys'}") as server:
        yield server


@pytest.fixture(scope="module")
def live(folder, candidate):
    flags = (f"--model={folder / 'old'}", f"--rubric-dir={folder / 'live-rubrics'}", "--threads=1")
    shadow = (f"--shadow-url={candidate.grpc_url}", "--shadow-share=1", f"--shadow-api-key-file={folder / 'key'}")
    files = (f"--keys-file={folder / 'tenants'}", f"--shadow-file={folder / 'shadow.jsonl'}")
    with running_server(*flags, *shadow, *files) as server:
        yield server


def sent_as(request_id):
    return {"x-api-key": TRAINER, "x-request-id": request_id}


def asked(name="a", *, rubric_id="house@1", count=4, **changes):
    one = m.ScoreItem(id=name, prompt=f"How much, {CANARY}?", responses=ANSWERS[:count], rubric_id=rubric_id)
    return m.ScoreRequest(items=(one,), **changes)


def shown(server):
    """The counters of the shadow, by name and labels."""
    text = httpx.get(f"{server.rest_url}/metrics", timeout=60).text
    assert CANARY not in text
    found = re.findall(r"^promedical_shadow_(\w+?)(?:_total)?(?:\{(.*)\})? (\S+)$", text, re.MULTILINE)
    return {f"{name} {labels}".strip(): float(value) for name, labels, value in found}


def requests(server):
    found = shown(server)
    return {name: found[f'requests outcome="{name}"'] for name in ("sampled", "dropped", "failed", "compared")}


async def recorded(server):
    """When all that was sampled has ended, and its records are written."""
    await settled(server)
    await until(lambda: shown(server)['records fate="written"'] == sum(found_responses(server).values()))


async def score(server):
    async with AsyncClient(server.grpc_url, api_key=TRAINER, max_attempts=1) as client:
        return await client.score(asked().items)


async def settled(server):
    """When everything that was sampled has ended, in whatever way."""
    await until(lambda: (found := requests(server))["sampled"] == sum(found.values()) - found["sampled"])
    return requests(server)


async def records_of(folder, *request_ids, count):
    file = folder / "shadow.jsonl"

    def found():
        read = [json.loads(line) for line in file.read_text().splitlines()]
        return [record for record in read if record["request_id"] in request_ids]

    await until(lambda: len(found()) >= count)
    assert CANARY not in file.read_text()
    return found()


async def test_records_hold_what_both_services_say(live, candidate, folder):
    async with httpx.AsyncClient(base_url=live.rest_url, timeout=60) as client:
        assert (await Rest(client).ask("ScoreBatch", asked(), headers=sent_as("s-1"))).code == "ok"
    records = await records_of(folder, "s-1", count=4)
    async with AsyncClient(candidate.grpc_url, api_key=KEY) as client:
        theirs = await client.score(asked().items)
    ours = await score(live)
    assert ours.model.fingerprint != theirs.model.fingerprint
    for side, answer in (("live", ours), ("candidate", theirs)):
        for record, response in zip(records, answer.items[0].result.responses, strict=True):
            said, scores = record[side], response.scores
            assert said["fingerprint"] == answer.model.fingerprint
            assert (said["reward"], said["vetoed"], said["rank"]) == (scores.reward, scores.vetoed, scores.rank)
            assert [(v["id"], v["met"]) for v in said["verdicts"]] == [(c.id, c.met) for c in scores.criteria]
    assert {record["caller"] for record in records} == {"trainer"}
    assert {record["outcome"] for record in records} == {"compared"}


async def test_metrics_are_the_sums_of_the_records(live, folder):
    async with AsyncClient(live.grpc_url, api_key=TRAINER) as client:
        many = [replace(asked().items[0], id=f"i{n}", prompt=f"Question {n}, {CANARY}?") for n in range(8)]
        await client.score(many)
    await recorded(live)
    records = [json.loads(line) for line in (folder / "shadow.jsonl").read_text().splitlines()]
    both = [record for record in records if record["outcome"] == "compared"]
    flips = Counter(
        (one["dimension"], "none" if one["met"] == other["met"] else "to_met" if other["met"] else "to_not_met")
        for record in both
        for one, other in zip(record["live"]["verdicts"], record["candidate"]["verdicts"], strict=True)
    )
    counts = shown(live)
    assert flips
    for (dimension, flip), count in flips.items():
        assert counts[f'verdicts dimension="{dimension}",flip="{flip}"'] == count
    vetoes = Counter((record["live"]["vetoed"], record["candidate"]["vetoed"]) for record in both)
    assert counts['vetoes change="lifted"'] == vetoes[True, False]
    assert counts['vetoes change="added"'] == vetoes[False, True]
    assert counts['reward_change_bucket le="+Inf"'] == len(both)
    (info,) = [name for name in counts if name.startswith("candidate_info")]
    assert both[0]["candidate"]["fingerprint"] in info


def found_responses(server):
    return {name: value for name, value in shown(server).items() if name.startswith("responses ")}


async def test_rankings_dropins_and_pinned_trainers_are_shadowed_too(live, folder):
    before = (await settled(live))["compared"]
    async with AsyncClient(live.grpc_url, api_key=TRAINER) as client:
        pins = {
            "expected_fingerprint": (await client.model()).model.fingerprint,
            "expected_rubrics": ((await client.rubric("house")).pin,),
        }
        await client.rank("How much?", ANSWERS[:3], rubric_id="house", **pins)
    async with httpx.AsyncClient(base_url=live.rest_url, timeout=60) as client:
        body = {"query": f"How much, {CANARY}?", "texts": ANSWERS[:2]}
        assert (await client.post("/rerank", json=body, headers=sent_as("d-1"))).status_code == 200
    await until(lambda: requests(live)["compared"] == before + 2)
    assert [record["response"] for record in await records_of(folder, "d-1", count=2)] == [0, 1]
    read = [json.loads(line) for line in (folder / "shadow.jsonl").read_text().splitlines()]
    assert [record["outcome"] for record in read if record["item"] == "rank"] == ["compared"] * 3


async def test_rubric_that_means_something_else_there_is_not_compared(live, folder):
    async with grpc.aio.insecure_channel(live.grpc_target) as channel:
        moved = asked(rubric_id="moved", count=2)
        assert (await Grpc(channel).ask("ScoreBatch", moved, headers=sent_as("o-1"))).code == "ok"
    records = await records_of(folder, "o-1", count=2)
    assert [record["outcome"] for record in records] == ["other_rubric"] * 2
    assert found_responses(live)['responses outcome="other_rubric"'] >= 2


async def test_key_that_the_candidate_refuses_fails_no_call_and_a_new_one_is_read(live, folder):
    before = await settled(live)
    (folder / "key").write_text("another-key-0123456789\n")
    await score(live)
    await until(lambda: requests(live)["failed"] == before["failed"] + 1)
    assert shown(live)['failures code="unauthenticated"'] >= 1
    (folder / "key").write_text(KEY)
    await score(live)
    await until(lambda: requests(live)["compared"] == before["compared"] + 1)


async def test_no_text_is_written_anywhere(live, candidate, folder):
    await score(live)
    await recorded(live)
    assert (folder / "shadow.jsonl").stat().st_size
    for server in (live, candidate):
        assert CANARY not in server.log
    assert CANARY not in (folder / "shadow.jsonl").read_text()


async def test_report_of_the_records_says_whether_to_promote(live, folder, tmp_path):
    await score(live)
    await recorded(live)
    done = CliRunner().invoke(app, ["compare-shadow", str(folder / "shadow.jsonl"), "--output", str(tmp_path / "r")])
    assert done.exit_code in (0, 1), done.stderr
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert done.stdout.splitlines()[0] == f"may be promoted: {report['answer']}"
    assert report["outcomes"] == {name.split('"')[1]: count for name, count in found_responses(live).items() if count}


async def test_requests_are_answered_whatever_the_candidate_does():
    """It is away, then there, then hangs, then dies with calls in its hands. No call waits for it or fails."""
    port = free_port()
    flags = (f"--shadow-url=grpc://127.0.0.1:{port}", "--shadow-share=1", "--shadow-timeout-s=600")
    with running_server("--engine=fake", *flags) as server:
        async with AsyncClient(server.grpc_url, max_attempts=1) as client:
            for _ in range(5):
                await client.score([item()])
            assert (await settled(server))["failed"] == 5
            assert server.wait_for("the candidate does not answer")["code"] == "unavailable"
            assert len(server.events("the candidate does not answer")) == 1
            candidate = RunningServer("--engine=fake", f"--grpc-port={port}")
            await until_compared(client, server)
            before = await settled(server)
            candidate.process.send_signal(signal.SIGSTOP)
            for _ in range(20):
                await client.score([item()])
            found = requests(server)  # every call was answered, and the candidate, which is stopped, answered none
            assert (found["sampled"], found["compared"]) == (before["sampled"] + 20, before["compared"])
            candidate.process.send_signal(signal.SIGKILL)
            candidate.ended()
            assert (await settled(server))["failed"] == before["failed"] + 20
            await client.score([item()])


@contextlib.contextmanager
def hanging(port):
    """Somebody who accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", port)):
        yield


async def until_compared(client, server):
    async with asyncio.timeout(120):
        while not requests(server)["compared"]:
            await client.score([item()])
            await asyncio.sleep(0.1)


async def test_candidate_that_is_too_slow_misses_its_deadline():
    port = free_port()
    flags = (f"--shadow-url=grpc://127.0.0.1:{port}", "--shadow-share=1", "--shadow-timeout-s=0.2")
    with hanging(port), running_server("--engine=fake", *flags) as server:
        async with AsyncClient(server.grpc_url, max_attempts=1) as client:
            await client.score([item()])
        assert (await settled(server))["failed"] == 1
        assert shown(server)['failures code="deadline"'] == 1


async def test_service_whose_candidate_hangs_ends_as_soon_as_another():
    """A hanging call does not hold up the end; `running_server` fails if the process has to be killed."""
    port = free_port()
    flags = (f"--shadow-url=grpc://127.0.0.1:{port}", "--shadow-share=1", "--shadow-timeout-s=86400")
    with hanging(port), running_server("--engine=fake", *flags) as server:
        async with AsyncClient(server.grpc_url, max_attempts=1) as client:
            await client.score([item()])
        assert requests(server)["sampled"] == 1


async def test_shadow_is_dropped_while_the_services_own_queue_is_half_full():
    """The bulk request takes minutes, and only the other one is answered before it is given up."""
    slow = {"program": (gated.__file__,), "FAKE_TOKENS_PER_S": "200"}
    flags = ("--engine=fake", "--max-queue-tokens=120000", f"--shadow-url=grpc://127.0.0.1:{free_port()}")
    many = [item(f"i{n}", [f"{n} {index} {'x' * 100}" for index in range(100)]) for n in range(4)]
    with running_server(*flags, "--shadow-share=1", "--drain-s=0", **slow) as server:
        async with AsyncClient(server.grpc_url, max_attempts=1) as client:
            bulk = asyncio.create_task(client.score(many, timeout_s=3600))
            await until(lambda: waiting_tokens(server) > 70_000)
            await client.score([item()])
            assert requests(server) == {"sampled": 1, "dropped": 1, "failed": 0, "compared": 0}
            bulk.cancel()
            await asyncio.gather(bulk, return_exceptions=True)


def waiting_tokens(server):
    text = httpx.get(f"{server.rest_url}/metrics", timeout=60).text
    return sum(float(value) for value in re.findall(r"^promedical_queue_tokens\{.*\} (\S+)$", text, re.MULTILINE))


async def test_two_services_that_shadow_each_other_ask_once():
    ports = (free_port(), free_port())
    flags = [(f"--grpc-port={one}", f"--shadow-url=grpc://127.0.0.1:{other}") for one, other in (ports, ports[::-1])]
    with (
        running_server("--engine=fake", "--shadow-share=1", *flags[0]) as first,
        running_server("--engine=fake", "--shadow-share=1", *flags[1]) as second,
    ):
        async with AsyncClient(first.grpc_url, max_attempts=1) as client:
            await client.score([item()])
        await until(lambda: requests(first)["compared"] == 1)
        assert requests(second)["sampled"] == 0


async def test_candidate_is_asked_over_mutual_tls(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("server", "client"):
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    tls = (f"--tls-cert-file={tmp_path / 'server.pem'}", f"--tls-key-file={tmp_path / 'server.key'}")
    with running_server("--engine=fake", *tls, f"--tls-client-ca-file={tmp_path / 'ca.pem'}") as candidate:
        flags = (
            f"--shadow-url=grpcs://{candidate.grpc_target}",
            "--shadow-share=1",
            f"--shadow-ca-file={tmp_path / 'ca.pem'}",
            f"--shadow-cert-file={tmp_path / 'client.pem'}",
            f"--shadow-cert-key-file={tmp_path / 'client.key'}",
        )
        with running_server("--engine=fake", *flags) as server:
            async with AsyncClient(server.grpc_url, max_attempts=1) as client:
                await client.score([item()])
            await until(lambda: requests(server)["compared"] == 1)


async def test_client_shadows_its_own_requests(live, candidate, tmp_path, caplog):
    """The SDK does the same for one caller, with a key of its own, and writes the same records."""
    from promedical_client.address import Address

    caplog.set_level("INFO", "promedical.shadow")
    shadow = Shadow(Address(candidate.grpc_url, api_key=KEY), share=1.0, file=tmp_path / "shadow.jsonl")
    async with AsyncClient(live.grpc_url, api_key=TRAINER, shadow=shadow) as client:
        answer = await client.score(asked().items)
        await client.rank(f"How much, {CANARY}?", ANSWERS[:2], rubric_id="house")
        await until(lambda: shadow.counts["compared"] == 2)
    records = [json.loads(line) for line in (tmp_path / "shadow.jsonl").read_text().splitlines()]
    assert len(records) == 6
    assert records[0]["live"]["fingerprint"] == answer.model.fingerprint
    assert {record["outcome"] for record in records} == {"compared"}
    done = CliRunner().invoke(
        app, ["compare-shadow", str(tmp_path / "shadow.jsonl"), "--output", str(tmp_path / "report")]
    )
    assert done.stdout.startswith("may be promoted: ")
    assert [record.message.split(",")[0] for record in caplog.records] == [
        "compared 4 of 4 responses",
        "compared 2 of 2 responses",
    ]
    assert CANARY not in caplog.text + (tmp_path / "shadow.jsonl").read_text()


def test_server_with_a_shadow_that_is_killed_leaves_whole_records_but_the_last(tmp_path):
    """What the report reads after a crash."""
    with running_server("--engine=fake") as candidate:
        flags = (f"--shadow-url={candidate.grpc_url}", "--shadow-share=1", f"--shadow-file={tmp_path / 's.jsonl'}")
        server = RunningServer("--engine=fake", *flags)
        with Client(server.grpc_url) as client:
            while not (tmp_path / "s.jsonl").stat().st_size:
                client.score([item(responses=ANSWERS)])
        server.process.send_signal(signal.SIGKILL)
        server.ended()
    with (tmp_path / "s.jsonl").open("ab") as stream:
        stream.write(b'{"time": "2027')
    done = CliRunner().invoke(app, ["compare-shadow", str(tmp_path / "s.jsonl"), "--output", str(tmp_path / "r")])
    assert done.exit_code in (0, 1), done.stderr
