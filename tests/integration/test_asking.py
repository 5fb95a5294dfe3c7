"""Asking a real model's server through a proxy that fails as real servers do; the proxy counts what it was sent."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import curating
from fault_proxy import Proxy, running_proxy
from promedical_curation.asking.asker import asking
from promedical_curation.asking.endpoints import Prices
from promedical_curation.asking.fetching import Terms
from promedical_curation.asking.store import Payer, open_store
from promedical_curation.errors import CurationError, StoppedError
from promedical_curation.pipeline.manifest import read_manifest
from promedical_curation.pipeline.row_files import DROPS, FAILED, ROWS, SCHEMAS, records
from promedical_curation.pipeline.run_folder import open_run
from promedical_curation.pipeline.running import Wishes
from promedical_curation.pipeline.worker import Means, decide_batch
from promedical_curation.rows import Failed, Row

PASSING = (
    "429_seconds",
    "429_date",
    "429_bare",
    "500",
    "503",
    "reset_in_head",
    "reset_in_body",
    "truncated_json",
    "not_a_completion",
)
FINAL = {
    "refusal": "refused",
    "content_filter": "content_filter",
    "too_long": "too_long",
    "bad_request": "bad_request",
}
PAYER = Payer(run="r", stage="s")


def ask(proxy: Proxy, store: str, instructions: list[str], *, terms: Terms | None = None, **changes):
    """The replies to a request about each of these, in one process."""
    asked = curating.endpoint(proxy.url, **changes)
    stage = curating.word_stage(asked)
    requests = [stage.ask(curating.row(text))[0] for text in instructions]

    async def work():
        async with asking({asked.name: asked}, opened, terms or Terms(run="r")) as asker:
            return await asker.ask_all(requests, PAYER)

    with closing(open_store(store)) as opened:
        return asyncio.run(work())


def first_time(fault: str):
    """Every question fails once, and passes then."""
    return lambda body, before: fault if before == 0 else None


def about(text: str, fault: str):
    """Only questions with this text fail, always."""
    return lambda body, before: fault if text in json.dumps(body["messages"]) else None


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/answers.sqlite"


@pytest.mark.parametrize("fault", PASSING)
def test_fault_that_passes_costs_one_more_call_and_no_row(llama, store, fault):
    with running_proxy(llama, first_time(fault)) as proxy:
        replies = ask(proxy, store, ["What is 1?", "What is 2?"])
    assert [reply.attempts for reply in replies] == [2, 2]
    assert set(proxy.by_question.values()) == {2}
    with closing(open_store(store)) as opened:
        spent = opened.spending("r")["s"]
    assert (spent.calls, spent.attempts) == (2, 4)


def test_slow_drip_ends_at_the_deadline_of_the_call(llama, store):
    with running_proxy(llama, first_time("slow_drip")) as proxy:
        (reply,) = ask(proxy, store, ["What is 1?"], timeout_s=8.0)
    assert reply.attempts == 2
    first, second = proxy.calls
    assert 8.0 <= second.began - first.began < 20.0


@pytest.mark.parametrize(("fault", "seconds"), [("429_seconds", 1.0), ("429_date", 1.0)])
def test_server_that_says_when_to_come_back_is_not_asked_before(llama, store, fault, seconds):
    with running_proxy(llama, first_time(fault)) as proxy:
        ask(proxy, store, ["What is 1?"])
    first, second = proxy.calls
    assert second.began - first.ended >= seconds * 0.98


def test_rate_limits_alone_do_not_end_a_request(llama, store):
    with running_proxy(llama, lambda body, before: "429_bare" if before < 3 else None) as proxy:
        (reply,) = ask(proxy, store, ["What is 1?"], terms=Terms(run="r", attempts=2))
    assert reply.attempts == 4


@pytest.mark.parametrize("fault", FINAL)
def test_request_that_is_declined_fails_alone_and_is_never_sent_again(llama, tmp_path, fault):
    with running_proxy(llama, about("What is 1?", fault)) as proxy:
        asked = curating.endpoint(proxy.url)
        line = [curating.source(curating.rows(3)), curating.word_stage(asked)]
        run = curating.run_line(tmp_path / "run", line, asked)
        again = Wishes(max_failed=1.0, again=True)
        curating.run_line(tmp_path / "run", line, asked, wishes=again)
        assert set(proxy.by_question.values()) == {1}
    manifest = read_manifest(run.folder("word"))
    assert (manifest.kept, manifest.failed) == (2, {FINAL[fault]: 1})
    with closing(open_store(run.store)) as opened:
        (letter,) = opened.dead_letters(Payer(run=run.id, stage="word"))
    assert (letter.row_id, letter.error) == ("r0001", FINAL[fault])
    assert "What is" not in letter.message


def test_failed_row_changes_no_other(llama, tmp_path):
    for folder, script in (("calm", lambda body, before: None), ("stormy", about("What is 1?", "bad_request"))):
        with running_proxy(llama, script) as proxy:
            asked = curating.endpoint(proxy.url)
            line = [curating.source(curating.rows(4)), curating.word_stage(asked)]
            curating.run_line(tmp_path / folder, line, asked)
    calm, stormy = (kept(tmp_path / folder / "stages" / "word") for folder in ("calm", "stormy"))
    assert [row for row in calm if row["id"] != "r0001"] == stormy


def kept(folder: Path, name: str = ROWS) -> list[dict]:
    return list(records(folder / name, SCHEMAS[name]))


def test_rows_that_failed_for_good_are_asked_again_on_demand(llama, tmp_path):
    with running_proxy(llama, about("What is 1?", "bad_request")) as proxy:
        asked = curating.endpoint(proxy.url)
        line = [curating.source(curating.rows(2)), curating.word_stage(asked)]
        curating.run_line(tmp_path / "run", line, asked)
        proxy.script = lambda body, before: None
        run = curating.run_line(tmp_path / "run", line, asked, wishes=Wishes(retry_failed=True))
        assert sorted(proxy.by_question.values()) == [1, 2]
    assert read_manifest(run.folder("word")).failed == {}
    with closing(open_store(run.store)) as opened:
        assert opened.dead_letters(Payer(run=run.id, stage="word")) == []


@pytest.mark.parametrize("fault", ["wrong_schema", "cut_off"])
def test_answer_that_can_be_repaired_gets_another_turn(llama, tmp_path, fault):
    with running_proxy(llama, lambda body, before: fault if len(body["messages"]) == 2 else None) as proxy:
        asked = curating.endpoint(proxy.url, name="difficulty")
        line = [curating.source([curating.row("What is aspirin?")]), curating.difficulty_stage(asked)]
        run = curating.run_line(tmp_path / "run", line, asked)
        assert [len(call.body["messages"]) for call in proxy.calls] == [2, 4]
    manifest = read_manifest(run.folder("difficulty"))
    assert manifest.failed == {}
    assert manifest.kept + sum(manifest.dropped.values()) == 1


def test_repair_turns_are_counted_and_their_last_error_is_the_reason(llama, tmp_path):
    with running_proxy(llama, lambda body, before: "wrong_schema") as proxy:
        asked = curating.endpoint(proxy.url, name="difficulty")
        line = [curating.source([curating.row("What is aspirin?")]), curating.difficulty_stage(asked)]
        run = curating.run_line(tmp_path / "run", line, asked, repairs=2)
        curating.run_line(tmp_path / "run", line, asked, repairs=2, wishes=Wishes(again=True, max_failed=1.0))
        assert len(proxy.calls) == 3
    (failed,) = kept(run.folder("difficulty"), FAILED)
    assert failed["error"] == "schema_invalid"
    assert "seven" not in failed["message"]


def test_same_request_asked_at_once_is_one_call(llama, store):
    with running_proxy(llama) as proxy:
        replies = ask(proxy, store, ["What is 1?"] * 8)
    assert len(proxy.calls) == 1
    assert len({reply.at for reply in replies}) == 1


def test_server_that_mostly_fails_stops_the_run(llama, store):
    with (
        running_proxy(llama, lambda body, before: "500") as proxy,
        pytest.raises(
            StoppedError, match=r"20 of its last 20 calls failed \(server_error 20\); answers so far are kept"
        ),
    ):
        ask(proxy, store, [f"What is {n}?" for n in range(60)], terms=Terms(run="r", attempts=1))
    assert 20 <= len(proxy.calls) <= 24


def test_wrong_key_stops_the_run_at_once(llama, store):
    with running_proxy(llama, lambda body, before: "401") as proxy, pytest.raises(StoppedError, match="the key is"):
        ask(proxy, store, [f"What is {n}?" for n in range(60)])
    assert len(proxy.calls) <= 4


def test_never_more_in_flight_than_the_endpoint_allows(llama, store):
    with running_proxy(llama, delay_s=0.1) as proxy:
        ask(proxy, store, [f"What is {n}?" for n in range(12)], max_in_flight=3)
    moments = sorted([(call.began, 1) for call in proxy.calls] + [(call.ended, -1) for call in proxy.calls])
    in_flight = [sum(step for _, step in moments[: end + 1]) for end in range(len(moments))]
    assert max(in_flight) == 3


def test_budget_stops_before_the_call_that_might_pass_it(llama, tmp_path):
    prices = Prices(input=1000.0, output=1000.0)
    with running_proxy(llama) as proxy:
        asked = curating.endpoint(proxy.url, prices=prices)
        line = [curating.source(curating.rows(12)), curating.word_stage(asked)]
        with pytest.raises(StoppedError, match=r"would pass its budget of 0.3 dollars; answers so far are kept"):
            curating.run_line(tmp_path / "run", line, asked, budget=0.3)
        assert 0 < curating.spending(tmp_path / "run")["word"].cost <= 0.3
        assert 0 < len(proxy.calls) < 12
        curating.run_line(tmp_path / "run", line, asked, budget=100.0)
        assert set(proxy.by_question.values()) == {1}
    assert curating.spending(tmp_path / "run")["word"].calls == 12


def test_budget_without_a_price_is_refused(llama, store):
    with running_proxy(llama) as proxy, pytest.raises(CurationError, match="no price is known for smollm2"):
        ask(proxy, store, ["What is 1?"], terms=Terms(run="r", budget=1.0), prices=None)
    assert proxy.calls == []


def test_replay_needs_no_server_and_a_miss_sends_nothing(llama, tmp_path):
    with running_proxy(llama) as proxy:
        asked = curating.endpoint(proxy.url)
        line = [curating.source(curating.rows(2)), curating.word_stage(asked)]
        curating.run_line(tmp_path / "run", line, asked)
        sent = len(proxy.log)
        curating.run_line(tmp_path / "run", line, asked, replay=True, wishes=Wishes(again=True))
        longer = [curating.source(curating.rows(3)), curating.word_stage(asked)]
        with pytest.raises(CurationError, match="has no answer to a request of stage word"):
            curating.run_line(tmp_path / "run", longer, asked, replay=True, accept_changes=True)
        assert len(proxy.log) == sent


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_on_one_store_ask_each_question_once(llama, tmp_path, request, kind):
    store = request.getfixturevalue("postgres") if kind == "postgresql" else f"sqlite:///{tmp_path}/shared.sqlite"
    with running_proxy(llama) as proxy:
        both = [run_program(tmp_path / name, proxy, "--rows=8", f"--store={store}") for name in ("a", "b")]
        assert [each.wait(250) for each in both] == [0, 0]
    assert set(proxy.by_question.values()) == {1}
    for stage in ("word", "fits"):
        assert kept(tmp_path / "a" / "stages" / stage) == kept(tmp_path / "b" / "stages" / stage)


def run_program(folder: Path, proxy: Proxy, *arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, curating.__file__, str(folder), proxy.url, *arguments], **options)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_worker_is_a_plain_function_of_a_batch(llama, tmp_path, request, kind):
    store = request.getfixturevalue("postgres") if kind == "postgresql" else f"sqlite:///{tmp_path}/a.sqlite"
    given = curating.rows(3)
    with running_proxy(llama, about("What is 1?", "bad_request")) as proxy:
        asked = curating.endpoint(proxy.url)
        means = Means(endpoints={asked.name: asked}, store=store, terms=Terms(run="plain"))
        outcomes = decide_batch(curating.word_stage(asked), given, means)
        assert decide_batch(curating.word_stage(asked), given, means) == outcomes
        assert set(proxy.by_question.values()) == {1}
    assert [type(each) for each in outcomes] == [Row, Failed, Row]


def test_interrupted_run_keeps_what_is_in_flight(llama, tmp_path):
    with running_proxy(llama, delay_s=0.3) as proxy:
        process = run_program(tmp_path / "run", proxy, "--rows=12", stderr=subprocess.PIPE, text=True)
        proxy.wait_for(3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 3, said
        assert "stopped by SIGINT; answers so far are kept" in said
        assert run_program(tmp_path / "run", proxy, "--rows=12").wait(250) == 0
        assert set(proxy.by_question.values()) == {1}


def test_second_process_in_a_run_folder_is_refused(tmp_path):
    url = "http://127.0.0.1:9/v1"
    command = [sys.executable, curating.__file__, str(tmp_path / "run"), url, "--rows=4"]
    with open_run(tmp_path / "run", [curating.source(curating.rows(4))]):
        second = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert second.returncode == 3
    assert "another process works in it; wait until it ends" in second.stderr


def test_dropped_rows_have_a_file_of_their_own(tmp_path):
    given = [curating.row("What is 1?", id="a"), curating.row("What is 1?", id="b")]
    asked = curating.endpoint("http://127.0.0.1:9/v1")
    run = curating.run_line(tmp_path / "run", [curating.source(given), curating.sifting_stage()], asked)
    assert [(line["id"], line["reason"]) for line in kept(run.folder("sift"), DROPS)] == [("b", "duplicate")]
