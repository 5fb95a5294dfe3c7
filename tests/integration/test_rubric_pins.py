"""Named rubrics of two real replicas that differ in content: seen in every answer, refused wherever they are pinned.

Both replicas run one oracle, so their fingerprints are equal; only the rubric `strict` is not the same.
"""

import json
import re
from dataclasses import replace

import grpc
import httpx
import pytest

from balancing import balanced
from commands import run_here
from judges import written
from promedical.pins import read_pins
from promedical.v1 import reward_pb2 as pb
from promedical.v1 import reward_pb2_grpc as stubs
from promedical_bench.cli import app as bench_app
from promedical_client import (
    AsyncClient,
    Client,
    MixedRubricsError,
    RevisionMismatchError,
    RubricPin,
    ScoreItem,
    TooLargeError,
    UsedRubric,
)
from promedical_client.address import Address
from promedical_client.cli.app import app
from promedical_client.integrations import Grader
from promedical_trainer.grpo.oracle import OracleError, grader_of, pin_oracle
from promedical_trainer.grpo.recipe import Oracle
from serving import running_server

PRAISED = {"id": "dose", "text": "Names the dose.", "dimension": "proficiency"}
DAMNED = PRAISED | {"dimension": "safety"}
WARM = {"id": "warm", "text": "Is kind.", "dimension": "excellence"}
PROMPT, MET = "How much paracetamol a day?", "At most 4 g, at number {}."
QUICK = Oracle(start_timeout_s=30.0)


def mounted(folder, **rubrics):
    folder.mkdir()
    for name, criteria in rubrics.items():
        file = folder / f"{name.replace('_', '@')}.json"
        file.write_text(json.dumps({"title": "Strict", "criteria": criteria}))
    return f"--rubric-dir={folder}"


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    """Two replicas whose `strict@1` says the opposite. The second one has `strict@2` of the other's content too."""
    folder = tmp_path_factory.mktemp("rubrics")
    first = mounted(folder / "first", strict_1=[PRAISED], warm_1=[WARM])
    second = mounted(folder / "second", strict_1=[DAMNED], strict_2=[PRAISED], warm_1=[WARM])
    with running_server("--engine=fake", first) as one, running_server("--engine=fake", second) as other:
        yield one, other


@pytest.fixture(params=["grpc", "rest"])
def urls(replicas, request):
    return [getattr(replica, f"{request.param}_url") for replica in replicas]


@pytest.fixture(scope="module")
def pins(replicas):
    """The rubrics of the first replica, which both wires tell in two ways."""
    told = []
    for url in (replicas[0].grpc_url, replicas[0].rest_url):
        with Client(url) as client:
            told += [tuple(rubric.pin for rubric in client.rubrics()), client.model().rubrics]
    assert told == [told[0]] * 4
    return {pin.name: pin for pin in told[0]}


@pytest.fixture(scope="module")
def answer(replicas):
    """A response that names the dose, as the fake engine sees it."""
    with Client(replicas[0].grpc_url) as client:
        texts = [MET.format(number) for number in range(32)]
        scored = client.score_one(PROMPT, texts, rubric_id="strict@1").result.responses
    return next(text for text, each in zip(texts, scored, strict=True) if each.scores.reward == 1)


def test_replicas_with_one_fingerprint_give_opposite_rewards_and_say_by_which_rubric(urls, pins, answer):
    answers = []
    for url in urls:
        with Client(url) as client:
            answers.append(client.rank(PROMPT, [answer], rubric_id="strict@1"))
            assert answers[-1].rubrics[0].sha256 == client.rubric("strict@1").sha256
    one, other = answers
    assert one.model == other.model
    assert [each.result.responses[0].scores.reward for each in answers] == [1, -1.5]
    assert one.rubrics == (UsedRubric(name="strict@1", id="strict", version="1", sha256=pins["strict@1"].sha256),)
    assert one.rubrics != other.rubrics


def test_answers_name_every_rubric_of_their_items_once(urls, pins, answer):
    common = {"prompt": PROMPT, "responses": (answer,)}
    items = [
        ScoreItem(id="a", rubric_id="strict@1", base_rubric_id="warm", **common),
        ScoreItem(id="b", rubric_id="warm", **common),
        ScoreItem(id="c", base_rubric_id="strict", **common),
    ]
    with Client(urls[0]) as client:
        used = client.score(items).rubrics
    assert [(each.name, f"{each.id}@{each.version}") for each in used] == [
        ("strict@1", "strict@1"),
        ("warm", "warm@1"),
        ("strict", "strict@1"),
    ]
    assert [each.sha256 for each in used] == [pins[f"{each.id}@1"].sha256 for each in used]


@pytest.mark.parametrize(
    ("named", "pinned"),
    [
        ({"rubric_id": "strict@1"}, "strict@1"),
        ({"rubric_id": "strict@1"}, "strict"),
        ({"base_rubric_id": "strict@1"}, "strict@1"),
        ({"rubric_id": "warm", "base_rubric_id": "strict@1"}, "strict@1"),
    ],
    ids=["by its name", "by its id", "as the standing one alone", "as the standing one beside another"],
)
def test_pinned_rubric_is_answered_by_the_replica_that_has_it_and_refused_by_the_other(
    urls, pins, answer, named, pinned
):
    expected = (RubricPin(name=pinned, sha256=pins["strict@1"].sha256), pins["warm@1"])
    with Client(urls[0]) as client:
        assert client.score_one(PROMPT, [answer], expected_rubrics=expected, **named).result.responses[0].scores
    with Client(urls[1]) as client:
        for ask in (client.score_one, client.rank):
            with pytest.raises(
                RevisionMismatchError, match=r"strict@1 is another rubric here, with the hash [0-9a-f]{64}"
            ):
                ask(PROMPT, [answer], expected_rubrics=expected, **named)


def test_pin_of_the_newest_version_sees_that_there_is_a_newer_one(urls, pins, answer):
    with Client(urls[1]) as client:
        with pytest.raises(RevisionMismatchError, match="strict@2 is not among them"):
            client.rank(PROMPT, [answer], rubric_id="strict", expected_rubrics=(pins["strict@1"],))
        same = RubricPin(name="strict", sha256=pins["strict@1"].sha256)
        ranked = client.rank(PROMPT, [answer], rubric_id="strict", expected_rubrics=(same,))
    assert [(used.name, used.version) for used in ranked.rubrics] == [("strict", "2")]
    assert ranked.result.responses[0].scores.reward == 1


def test_pins_ask_for_every_rubric_that_is_named_and_for_no_other(urls, pins, answer):
    gone = RubricPin(name="gone@7", sha256="0" * 64)
    with Client(urls[0]) as client:
        expected = (pins["warm@1"], gone, replace(gone, name="strict@1"))
        assert client.rank(PROMPT, [answer], rubric_id="warm", expected_rubrics=expected).result
        with pytest.raises(RevisionMismatchError, match="general-medical@1 is not among them"):
            client.rank(PROMPT, [answer], rubric_id="general-medical", expected_rubrics=expected)
        with pytest.raises(RevisionMismatchError, match="warm@1 is another rubric"):  # two pins of one name
            client.rank(PROMPT, [answer], rubric_id="warm", expected_rubrics=(*expected, replace(gone, name="warm@1")))


def test_mismatch_is_a_failed_precondition_on_both_wires_and_quotes_no_pin(replicas, answer):
    pin = {"name": "strict@1", "sha256": "Kanarienvogel"}
    item = {"id": "a", "prompt": PROMPT, "responses": [answer], "rubric_id": "strict@1"}
    said = httpx.post(f"{replicas[0].rest_url}/v1/score", json={"items": [item], "expected_rubrics": [pin]}, timeout=30)
    assert (said.status_code, said.json()["code"]) == (412, "revision_mismatch")
    wire = pb.ScoreItem(id="a", prompt_text=PROMPT, responses=[answer], rubric_id="strict@1")
    asked = pb.ScoreBatchRequest(items=[wire], expected_rubrics=[pb.RubricPin(**pin)])
    with grpc.insecure_channel(replicas[0].grpc_target) as channel, pytest.raises(grpc.RpcError) as caught:
        stubs.RewardServiceStub(channel).ScoreBatch(asked, timeout=30)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == said.json()["detail"]
    assert "Kanarienvogel" not in said.text


def test_bodies_with_pins_that_are_none_are_refused_by_field(replicas, answer):
    item = {"id": "a", "prompt": PROMPT, "responses": [answer], "rubric_id": "strict@1"}
    for pins, field in ([{"name": "strict@1"}], "expected_rubrics[0].sha256"), ({"strict@1": "0"}, "expected_rubrics"):
        body = {"items": [item], "expected_rubrics": pins}
        said = httpx.post(f"{replicas[0].rest_url}/v1/score", json=body, timeout=30)
        assert said.status_code == 422
        assert said.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("count", [4096, 4097])
def test_pins_are_bounded_on_both_wires_before_they_are_built(urls, pins, answer, count):
    """Empty pins are two bytes each over gRPC, so that a small message can ask for very many objects."""
    expected = (pins["warm@1"], *[RubricPin(name="", sha256="")] * (count - 1))
    with Client(urls[0], max_attempts=1) as client:
        for ask in (client.rank, client.score_one):
            if count > 4096:
                with pytest.raises(TooLargeError, match="expected_rubrics holds 4097; at most 4096 are allowed"):
                    ask(PROMPT, [answer], rubric_id="warm", expected_rubrics=expected)
            else:
                assert ask(PROMPT, [answer], rubric_id="warm", expected_rubrics=expected).result


async def test_client_refuses_one_call_that_two_rubrics_of_one_name_answered(replicas, answer):
    items = [ScoreItem(id=str(n), prompt=PROMPT, responses=(answer,), rubric_id="strict@1") for n in range(256)]
    async with (
        balanced(*(replica.rest_port for replica in replicas)) as balancer,
        AsyncClient(re.sub("^.*://", "http://", balancer.url)) as client,
    ):
        with pytest.raises(MixedRubricsError, match=r"different rubrics of the name strict@1; .* expected_rubrics"):
            await client.score(items)
        pin = (await client.rubric("strict@1")).pin
        with pytest.raises(RevisionMismatchError, match="strict@1 is another rubric"):
            await client.score(items, expected_rubrics=(pin,))
    assert set(balancer.taken) == {replica.rest_port for replica in replicas}


# Drop-ins, adapters and commands.


def rm(replica, answer, query=""):
    body = {"prompt": PROMPT, "response": answer, "label": "strict@1"}
    return httpx.post(f"{replica.rest_url}/rm{query}", json=body, timeout=30)


def test_dropins_carry_the_rubrics_in_a_header_and_take_pins_in_the_url(replicas, pins, answer):
    said = rm(replicas[0], answer, "?answer=object&base_rubric_id=warm")
    wanted = (pins["strict@1"], pins["warm@1"])
    assert read_pins(said.headers["x-promedical-rubrics"]) == read_pins(said.json()["rubrics"]) == wanted
    pinned = f"?base_rubric_id=warm&expected_rubrics={said.headers['x-promedical-rubrics']}"
    assert rm(replicas[0], answer, pinned).status_code == 200
    refused = rm(replicas[1], answer, pinned)
    assert (refused.status_code, refused.json()["code"]) == (412, "revision_mismatch")
    assert "strict@1 is another rubric" in refused.json()["detail"]


@pytest.mark.parametrize("pins", ["", "strict@1", "strict@1=12", "=" + "0" * 64, "a b=" + "0" * 64])
def test_dropins_refuse_pins_that_cannot_be_read(replicas, answer, pins):
    said = rm(replicas[0], answer, f"?expected_rubrics={pins}")
    assert said.status_code == 422
    assert said.json()["detail"].startswith("expected_rubrics: expected NAME=SHA256")


def test_dropins_pin_the_default_rubric_too(replicas, pins, answer):
    for query, status in (
        (f"strict@1={'0' * 64}", 412),
        (f"general-medical@1={pins['general-medical@1'].sha256}", 200),
    ):
        said = httpx.post(
            f"{replicas[0].rest_url}/predict?expected_rubrics={query}", json={"inputs": [[PROMPT, answer]]}, timeout=30
        )
        assert said.status_code == status, said.text


def test_verify_says_the_rubrics_in_its_answer(replicas, pins, answer):
    body = {
        "responses_create_params": {"input": PROMPT},
        "response": {"output": [{"type": "message", "role": "assistant", "content": answer}]},
        "rubric_id": "strict@1",
    }
    said = httpx.post(f"{replicas[0].rest_url}/verify", json=body, timeout=30).json()
    assert read_pins(said["oracle_rubrics"]) == (pins["strict@1"],)


async def test_grader_is_refused_by_a_replica_with_another_rubric(urls, pins, answer):
    text = f"strict={pins['strict@1'].sha256}"
    for pinned in (text, read_pins(text)):
        graders = [Grader(url, rubric_id="strict@1", expected_rubrics=pinned) for url in urls]
        (grade,) = await graders[0].grade([graders[0].exchange(PROMPT, answer)])
        assert grade.reward == 1
        with pytest.raises(RevisionMismatchError, match="strict@1 is another rubric"):
            await graders[1].grade([graders[1].exchange(PROMPT, answer)])
        for grader in graders:
            await grader.aclose()


def test_command_shows_hashes_and_fails_by_another_rubric(urls, pins, answer, tmp_path):
    pin = pins["strict@1"]
    shown = run_here(app, ["rubrics", "strict@1", "--url", urls[0]])
    assert shown.stdout.splitlines()[-1] == f"to pin it: --expected-rubric strict@1={pin.sha256}"
    assert pin.sha256[:12] in run_here(app, ["rubrics", "--url", urls[0]]).stdout
    items = written(tmp_path / "items.jsonl", [{"id": "a", "prompt": PROMPT, "responses": [answer]}])
    words = ["score", str(items), "--rubric-id=strict@1", f"--expected-rubric={pin.name}={pin.sha256}", "--url"]
    done = run_here(app, [*words, urls[0]])
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, f"named rubrics: {pin.name}={pin.sha256}")
    for command in (words, ["rank", f"--prompt={PROMPT}", f"--response={answer}", *words[2:]]):
        done = run_here(app, [*command, urls[1]])
        assert done.returncode == 3
        assert "revision_mismatch: expected_rubrics: strict@1 is another rubric" in done.stderr
    done = run_here(app, ["score", str(items), "--expected-rubric=strict@1", "--url", urls[0]])
    assert done.returncode == 2
    assert "--expected-rubric: expected NAME=SHA256" in done.stderr


def test_bench_notes_the_rubric_and_refuses_results_by_another(urls, pins, tmp_path):
    rows = [{"id": "1", "subset": "hep-go", "prompt": "Q?", "chosen": "A", "rejected": "B"}]
    data = written(tmp_path / "rb.jsonl", rows)
    words = [f"--data={data}", f"--output={tmp_path / 'out'}", "--task=rewardbench", "--no-controls"]
    words = ["quality", *words, "--rubric-id=strict@1", "--url"]
    assert run_here(bench_app, [*words, urls[0]]).returncode == 0
    header = json.loads((tmp_path / "out" / "results.jsonl").read_text().splitlines()[0])
    assert (header["rubric"], header["rubric_sha256"]) == ("strict@1", pins["strict@1"].sha256)
    assert run_here(bench_app, [*words, urls[0]]).returncode == 0
    refused = run_here(bench_app, [*words, urls[1]])
    assert refused.returncode == 2
    assert f"holds results of rubric content {pins['strict@1'].sha256[:12]}, not" in refused.stderr
    words = ["quality", f"--output={tmp_path / 'other'}", *(word for word in words[1:] if "--output" not in word)]
    assert run_here(bench_app, [*words, urls[1]]).returncode == 0
    folders = [str(tmp_path / "out"), str(tmp_path / "other")]
    compared = run_here(bench_app, ["compare", *folders, f"--output={tmp_path / 'both'}"])
    assert compared.returncode == 2
    assert "run 'other': was asked about rubric content" in compared.stderr


# Training.


def test_run_pins_the_rubrics_that_it_began_with_and_refuses_new_content_when_it_resumes(urls, pins, tmp_path):
    pin = pin_oracle(tmp_path, Address(urls[0]), QUICK, allow_fake=True)
    assert pin.rubrics == {each.name: each.sha256 for each in pins.values()}
    assert json.loads((tmp_path / "oracle.json").read_text())["rubrics"] == pin.rubrics
    assert pin_oracle(tmp_path, Address(urls[0]), QUICK, allow_fake=True) == pin
    with pytest.raises(OracleError, match=r"its rubric strict@1 has the hash .*, but this run began with"):
        pin_oracle(tmp_path, Address(urls[1]), QUICK, allow_fake=True)


def test_run_is_refused_by_a_replica_with_another_rubric_in_every_call(urls, answer, tmp_path):
    pin = pin_oracle(tmp_path, Address(urls[0]), QUICK, allow_fake=True)
    grader = grader_of(Address(urls[1]), replace(QUICK, timeout_s=30.0), pin)
    exchanges = [grader.exchange(PROMPT, answer, label) for label in ("strict@1", json.dumps([PRAISED]))]
    with pytest.raises(RevisionMismatchError, match="strict@1 is another rubric"):
        grader.run(lambda: grader.grade(exchanges))
    assert grader.run(lambda: grader.grade(exchanges[1:]))[0].reward == 1
    grader.close()


def test_run_from_before_rubrics_were_recorded_resumes(urls, tmp_path):
    pin_oracle(tmp_path, Address(urls[0]), QUICK, allow_fake=True)
    old = json.loads((tmp_path / "oracle.json").read_text())
    del old["rubrics"]
    (tmp_path / "oracle.json").write_text(json.dumps(old))
    assert pin_oracle(tmp_path, Address(urls[1]), QUICK, allow_fake=True).rubrics == {}


def test_metrics_tell_the_rubrics_of_replicas_apart(replicas, pins):
    lines = [httpx.get(f"{replica.rest_url}/metrics", timeout=30).text.splitlines() for replica in replicas]
    shown = [{line for line in each if line.startswith("promedical_rubric_info{")} for each in lines]
    line = f'promedical_rubric_info{{name="strict",sha256="{pins["strict@1"].sha256[:12]}",version="1"}} 1.0'
    assert line in shown[0] - shown[1]
    assert len(shown[0]) == 3
    assert len(shown[1]) == 4
