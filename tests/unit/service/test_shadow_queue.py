"""The shadow of a service without a wire: what waits, what is dropped, and that nobody waits for it."""

import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import structlog

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical_service.audit.audit_log import AuditLog
from promedical_service.settings import ConfigurationError
from promedical_service.shadow.candidate import Candidate, CandidateError
from promedical_service.shadow.shadow import AT_ONCE, Shadow
from promedical_service.shadow.shadowed_oracle import ShadowedOracle
from promedical_service.shadow.waiting import Answered, Waiting
from promedical_service.telemetry.metrics import Metrics
from promedical_service.types import Caller
from shadowing import LIVE, NEW, answered, asked, scored

LONG_S = 60
CANARY = "Kanarienvogel"


def waiting_request(prompt="Is it safe?", responses=("Yes.", "No.")):
    outcomes = (answered(*(scored(0.5) for _ in responses)),)
    request = asked(prompt=prompt, responses=responses)
    return Answered(request=request, outcomes=outcomes, model=LIVE, caller="trainer", request_ids=("r1",))


def test_queue_is_bounded_by_the_memory_of_texts_and_verdicts():
    small, large = waiting_request(), waiting_request(prompt="x" * 10**6)
    assert 10**6 < large.bytes < 10**6 + 2 * small.bytes
    assert waiting_request(prompt="\u4e00" * 10**6).bytes > 2 * 10**6
    queue = Waiting(3 * small.bytes)
    assert [queue.put(waiting_request()) for _ in range(5)] == [True] * 3 + [False] * 2
    assert not queue.put(large)
    assert queue.get() is not None
    assert queue.put(small)


def test_queue_sheds_everything_and_takes_more():
    queue = Waiting(10**6)
    for _ in range(3):
        queue.put(waiting_request())
    assert (queue.shed(), len(queue), queue.shed()) == (3, 0, 0)
    assert queue.put(waiting_request())


def test_queue_that_closes_wakes_who_waits_and_takes_nothing():
    queue, got = Waiting(10**6), []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    assert queue.close() == 0
    thread.join(LONG_S)
    assert got == [None]
    assert not queue.put(waiting_request())


class Gate:
    """Holds every call to a candidate until it opens, then answers or raises."""

    def __init__(self, error=None):
        self.open, self.entered, self.error = threading.Event(), threading.Semaphore(0), error
        self.asked = []

    def score(self, request, request_id):
        self.asked.append((request, request_id))
        self.entered.release()
        assert self.open.wait(LONG_S)
        if self.error is not None:
            raise self.error
        outcomes = tuple(answered(*(scored(0.25, harm=True) for _ in item.responses)) for item in request.items)
        return SimpleNamespace(model=NEW, items=outcomes)

    def close(self):
        self.open.set()


class Rig:
    def __init__(self, gate, **changes):
        self.gate, self.metrics, self.is_full = gate, Metrics(), False
        values = {"share": 1.0, "most_bytes": 10**6, "under_load": lambda: self.is_full}
        self.shadow = Shadow(gate, self.metrics.shadow, **(values | changes))

    def offer(self, count=1, **caller):
        for _ in range(count):
            each = waiting_request()
            given = Caller(**({"key": "trainer", "request_ids": ("r1",)} | caller))
            self.shadow.offer(each.request, each.outcomes, each.model, given)

    def fill(self):
        """Let every thread hang at the candidate."""
        for _ in range(AT_ONCE):
            self.offer()
            assert self.gate.entered.acquire(timeout=LONG_S)

    def count(self, name, /, **labels):
        return self.metrics.registry.get_sample_value(f"promedical_shadow_{name}", labels)

    def requests(self):
        outcomes = ("sampled", "dropped", "failed", "compared")
        return {name: self.count("requests_total", outcome=name) for name in outcomes}

    def until(self, outcome, count):
        ends = time.monotonic() + LONG_S
        while self.requests()[outcome] < count:
            assert time.monotonic() < ends
            time.sleep(0.005)


@pytest.fixture
def rig():
    made = []

    def make(gate=None, **changes):
        made.append(Rig(gate or Gate(), **changes))
        return made[-1]

    yield make
    for each in made:
        each.shadow.close(LONG_S)


def test_shadow_compares_and_counts_what_was_sampled(rig):
    made = rig()
    made.gate.open.set()
    made.offer(3)
    made.until("compared", 3)
    assert made.requests() == {"sampled": 3, "dropped": 0, "failed": 0, "compared": 3}
    assert {request.lane for request, _ in made.gate.asked} == {"bulk"}
    assert {name for _, name in made.gate.asked} == {"shadow-r1"}


def test_shadow_counts_flips_vetoes_and_rewards(rig):
    made = rig()
    made.fill()
    made.gate.open.set()
    made.until("compared", AT_ONCE)
    responses = 2 * AT_ONCE
    assert made.count("verdicts_total", dimension="proficiency", flip="none") == responses
    assert made.count("verdicts_total", dimension="safety", flip="to_met") == responses
    assert made.count("vetoes_total", change="added") == responses
    assert made.count("responses_total", outcome="compared") == responses
    below, above = (made.count("reward_change_bucket", le=bound) for bound in ("-0.5", "-0.2"))
    assert (below, above) == (0, responses)
    assert made.count("candidate_info", name="new", fingerprint="f2") == 1


def test_shadow_that_hangs_holds_nobody_up_and_drops_what_finds_no_room(rig):
    made = rig(most_bytes=2 * waiting_request().bytes)
    made.fill()
    made.offer(5)  # returns although no call to the candidate has
    assert made.requests() == {"sampled": AT_ONCE + 5, "dropped": 3, "failed": 0, "compared": 0}
    assert len(made.gate.asked) == AT_ONCE


def test_shadow_is_dropped_first_when_the_service_is_short_of_room(rig):
    made = rig()
    made.fill()
    made.offer(3)
    made.is_full = True
    made.offer()
    assert made.requests()["dropped"] == 4
    made.is_full = False
    made.offer()
    assert made.requests()["dropped"] == 4


def test_shadow_drops_what_waits_even_if_the_next_request_is_not_sampled(rig):
    made = rig()
    made.fill()
    made.offer(2)
    made.is_full = True
    made.offer(request_ids=("shadow-r1",))
    assert made.requests() == {"sampled": AT_ONCE + 2, "dropped": 2, "failed": 0, "compared": 0}


def test_shadow_of_a_shadow_is_never_asked(rig):
    made = rig()
    made.gate.open.set()
    made.offer(3, request_ids=("shadow-r1",))
    made.offer(1, request_ids=("r1", "shadow-r2"))
    assert made.requests()["sampled"] == 0


def test_shadow_that_fails_counts_and_says_so_once_until_the_reason_changes(rig):
    made = rig(Gate(CandidateError(ErrorCode.UNAVAILABLE, "nobody is there")))
    with structlog.testing.capture_logs() as said:
        made.gate.open.set()
        made.offer(5)
        made.until("failed", 5)
        made.gate.error = CandidateError(ErrorCode.DEADLINE)
        made.offer()
        made.until("failed", 6)
    assert [(line["code"], line["reason"]) for line in said] == [("unavailable", "nobody is there"), ("deadline", None)]
    assert made.count("failures_total", code="unavailable") == 5
    assert made.count("failures_total", code="deadline") == 1


def test_shadow_outlives_an_error_that_nobody_expects_and_logs_none_of_its_words(rig):
    made = rig(Gate(KeyError(CANARY)))
    with structlog.testing.capture_logs() as said:
        made.gate.open.set()
        made.offer(AT_ONCE + 1)
        made.until("failed", AT_ONCE + 1)
    assert made.count("failures_total", code="internal") == AT_ONCE + 1
    assert CANARY not in repr(said)
    assert said[0]["error_type"] == "KeyError"


def test_shadow_that_closes_drops_what_waits_and_takes_no_more(rig):
    made = rig()
    made.fill()
    made.offer(3)
    made.shadow.close(LONG_S)
    made.offer()
    assert made.requests() == {"sampled": AT_ONCE + 4, "dropped": 4, "failed": 0, "compared": AT_ONCE}


class Sink:
    def __init__(self):
        self.lines = []

    def write(self, line):
        self.lines.append(line)

    def close(self):
        pass


def test_records_of_a_shadow_hold_no_text_and_hashes_by_the_secret(rig):
    sinks = []
    for _ in range(2):
        sinks.append(Sink())
        made = rig(log=AuditLog(sinks[-1], None, kind="shadow"))
        each = waiting_request(prompt=CANARY, responses=(f"{CANARY} a", f"{CANARY} b"))
        made.gate.open.set()
        made.shadow.offer(each.request, each.outcomes, each.model, Caller(key="trainer", request_ids=("r1",)))
        made.until("compared", 1)
        made.shadow.close(LONG_S)
    for sink in sinks:
        assert CANARY.encode() not in b"".join(sink.lines)
    one, other = ([json.loads(line) for line in sink.lines] for sink in sinks)
    assert len({record["prompt_hash"] for record in one}) == 1
    assert len({record["comparison"] for record in one}) == 1
    assert one[0]["prompt_hash"] != other[0]["prompt_hash"], "without a salt every process has a secret of its own"
    assert {record["caller"] for record in one} == {"trainer"}
    assert [record["response"] for record in one] == [0, 1]


async def test_shadowed_oracle_answers_before_anything_is_offered_and_what_the_oracle_answered():
    class Oracle:
        async def score(self, request, caller):
            return SimpleNamespace(items=(answered(scored(0.5), scored(0.5)),), model=LIVE)

        async def rank(self, request, caller):
            outcome = answered(scored(0.5), scored(0.5), name="rank")
            return SimpleNamespace(error=None, result=outcome.result, model=LIVE)

    class Offers:
        def __init__(self):
            self.taken = []

        def offer(self, request, outcomes, model, caller):
            self.taken.append((request, outcomes, model, caller))

    offers, caller = Offers(), Caller(key="trainer")
    oracle = ShadowedOracle(Oracle(), offers)
    scored_answer = await oracle.score(asked(), caller)
    ranked = m.RankRequest(prompt="p", responses=("a", "b"), rubric_id="house")
    ranked_answer = await oracle.rank(ranked, caller)
    (first, second) = offers.taken
    assert first == (asked(), scored_answer.items, LIVE, caller)
    assert second[0] == ranked.as_score_request()
    assert second[1] == (m.ItemOutcome(id="rank", result=ranked_answer.result),)


@pytest.mark.parametrize(
    ("url", "files", "said"),
    [
        ("grpc://", {}, "expected grpc://HOST:PORT"),
        ("grpc://host", {}, "expected grpc://HOST:PORT"),
        ("grpc://host:99999", {}, "out of range"),
        ("grpc://user@host:1", {}, "user name"),
        ("grpc://host:1", {"ca_file": "none.pem"}, "use grpcs://"),
        ("grpcs://host:1", {"ca_file": "none.pem"}, "none.pem"),
        ("grpcs://host:1", {"ca_file": "text"}, "expected certificates in PEM"),
        ("grpc://host:1", {"api_key_file": "none"}, "none"),
        ("grpc://host:1", {"api_key_file": "empty"}, "api_key is empty"),
        ("grpc://host:1", {"api_key_file": "accents"}, "cannot carry"),
    ],
    ids=["no-host", "no-port", "port", "user", "ca-in-plain", "no-ca", "bad-ca", "no-key", "empty-key", "accents"],
)
def test_candidate_that_cannot_be_used_is_refused_at_the_start(tmp_path, url, files, said):
    for name, text in {"text": "no PEM", "empty": "\n", "accents": "schlüssel"}.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        Candidate(url, timeout_s=1, **{name: tmp_path / file for name, file in files.items()})
    assert str(caught.value).startswith("shadow_url and its files: ")


def test_candidate_that_is_not_there_is_unavailable_with_a_reason_and_without_text():
    candidate = Candidate("grpc://127.0.0.1:1", timeout_s=LONG_S)
    with pytest.raises(CandidateError) as caught:
        candidate.score(asked(prompt=CANARY), "shadow-r1")
    candidate.close()
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert CANARY not in (caught.value.reason or "")


def test_candidate_refuses_what_no_wire_carries():
    candidate = Candidate("grpc://127.0.0.1:1", timeout_s=LONG_S)
    with pytest.raises(CandidateError) as caught:
        candidate.score(asked(prompt=f"{CANARY}\ud800"), "shadow-r1")
    candidate.close()
    assert caught.value.code in (ErrorCode.INVALID_REQUEST, ErrorCode.INTERNAL)
    assert CANARY not in (caught.value.reason or "")


def test_answered_counts_responses_of_all_items():
    each = waiting_request()
    items = (*each.request.items, replace(each.request.items[0], id="b", responses=("x",)))
    assert replace(each, request=m.ScoreRequest(items=items)).count == 3
