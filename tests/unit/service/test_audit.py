"""Audit records: what they say, what they do not, and what becomes of those that find no room."""

import hashlib
import hmac
import json
import threading

import pytest
import structlog

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.rubric import Dimension
from promedical_service.audit.audit_log import AuditLog
from promedical_service.audit.records import Audited, records
from promedical_service.audit.sinks import open_sink, read_salt
from promedical_service.settings import ConfigurationError

MODEL = m.ModelRef(name="default", revision="r", fingerprint="f1", engine="fake", dtype="float32")
HOUSE = m.UsedRubric(name="house", id="house", version="2", sha256="cc")
SALT = b"a secret of sixteen"
TEXTS = ("Warte Kanarienvogel.", "Nimm Kanarienvogel.", "")
TURNS = (m.Message(role="user", content="Frage Kanarienvogel?"),)


def verdict(name, dimension, *, satisfied):
    return m.CriterionScore(
        id=name, dimension=dimension, logit=1.0, probability=0.75, threshold=0.5, met=True, satisfied=satisfied
    )


def scores(*, vetoed):
    criteria = (
        verdict("kind", Dimension.PROFICIENCY, satisfied=True),
        verdict("harm", Dimension.SAFETY, satisfied=not vetoed),
    )
    return m.ResponseScores(
        reward=-0.5 if vetoed else 1.0,
        rank=2 if vetoed else 1,
        vetoed=vetoed,
        proficiency=1.0,
        excellence=0,
        violations=int(vetoed),
        criteria=criteria,
    )


def audited(**changes):
    """One item with a good, a vetoed and an empty response, and one that was refused."""
    failed = m.ErrorInfo(code=ErrorCode.EMPTY_RESPONSE, message="it is empty")
    result = m.ItemResult(
        rubric=m.RubricRef(id="house", version="2", sha256="dd"),
        safety_checked=True,
        ranking=((0,), (1,)),
        responses=(
            m.ResponseOutcome(scores=scores(vetoed=False), truncated=True),
            m.ResponseOutcome(scores=scores(vetoed=True)),
            m.ResponseOutcome(error=failed),
        ),
    )
    refused = m.ErrorInfo(code=ErrorCode.INVALID_ITEM, message="it is faulty")
    values = {
        "at": 1_800_000_000.25,
        "caller": "trainer",
        "request_ids": ("r1",),
        "model": MODEL,
        "rubrics": (HOUSE,),
        "asked": (
            m.ScoreItem(id="a", prompt=TURNS, responses=TEXTS, rubric_id="house"),
            m.ScoreItem(id="b", prompt="Frage Kanarienvogel?", responses=("x",), rubric_id="house"),
        ),
        "outcomes": (m.ItemOutcome(id="a", result=result), m.ItemOutcome(id="b", error=refused)),
    }
    return Audited(**(values | changes))


def test_records_say_who_was_vetoed_by_which_oracle_under_which_rubric():
    good, vetoed, empty, refused = records(audited(), None)
    assert vetoed == {
        "time": "2027-01-15T08:00:00.250Z",
        "caller": "trainer",
        "request_id": "r1",
        "item": "a",
        "response": 1,
        "model": "default",
        "fingerprint": "f1",
        "rubric": {"name": "house@2", "sha256": "cc"},
        "base_rubric": None,
        "judged_by": "dd",
        "error": None,
        "truncated": False,
        "reward": -0.5,
        "rank": 2,
        "vetoed": True,
        "vetoed_by": ["harm"],
        "verdicts": [
            {"id": "kind", "dimension": "proficiency", "met": True, "satisfied": True, "probability": 0.75},
            {"id": "harm", "dimension": "safety", "met": True, "satisfied": False, "probability": 0.75},
        ],
    }
    assert (good["truncated"], good["vetoed"], good["vetoed_by"]) == (True, False, [])
    assert (empty["error"], empty["response"], "reward" in empty) == ("empty_response", 2, False)
    assert (refused["error"], refused["item"], refused["judged_by"]) == ("invalid_item", "b", None)


def test_records_of_requests_that_were_gathered_have_ids_of_their_own():
    several = audited(request_ids=("r1", "r2", "r3", "r4"))
    assert [record["request_id"] for record in records(several, None)] == ["r1", "r2", "r3", "r4"]


def test_records_hold_no_text_and_with_a_salt_its_hash():
    assert b"Kanarienvogel" not in b"".join([*audited().lines(None), *audited().lines(SALT)])
    first, second, *_, last = records(audited(), SALT)
    assert first["response_hash"] == hmac.new(SALT, TEXTS[0].encode(), hashlib.sha256).hexdigest()
    assert first["prompt_hash"] == second["prompt_hash"] != last["prompt_hash"]
    assert last["prompt_hash"] == hmac.new(SALT, b"Frage Kanarienvogel?", hashlib.sha256).hexdigest()
    assert "response_hash" not in next(records(audited(), None))


def test_records_are_json_in_one_line_whatever_ids_hold():
    odd = m.ScoreItem(id="a\nb\u2028\ud800", prompt="p", responses=("x",), rubric_id="house")
    outcome = m.ItemOutcome(id=odd.id, error=m.ErrorInfo(code=ErrorCode.INVALID_ITEM, message="it is faulty"))
    (line,) = audited(asked=(odd,), outcomes=(outcome,)).lines(None)
    assert line.count(b"\n") == 1
    assert json.loads(line)["caller"] == "trainer"


class Sink:
    """Holds lines up until it is opened."""

    def __init__(self):
        self.open = threading.Event()
        self.entered = threading.Event()
        self.lines = []

    def write(self, line):
        self.entered.set()
        assert self.open.wait(60)
        self.lines.append(line)

    def close(self):
        self.open.clear()


class Fates:
    def __init__(self):
        self.counts = {"written": 0, "dropped": 0}

    def __call__(self, fate, count):
        self.counts[fate] += count


def test_log_drops_what_finds_no_room_and_counts_it_without_waiting():
    sink, fates, one = Sink(), Fates(), audited().without_texts()
    log = AuditLog(sink, None, fates, most_cost=2 * one.cost)
    for _ in range(5):
        log.put(audited())
    assert sink.entered.wait(60)
    assert fates.counts == {"written": 0, "dropped": 3 * 4}
    sink.open.set()
    log.close(60)
    assert len(sink.lines) == fates.counts["written"] == 2 * 4
    assert all(json.loads(line)["caller"] == "trainer" for line in sink.lines)


def test_log_takes_one_request_that_is_larger_than_its_room():
    sink, fates = Sink(), Fates()
    sink.open.set()
    log = AuditLog(sink, None, fates, most_cost=1)
    log.put(audited())
    log.close(60)
    assert fates.counts == {"written": 4, "dropped": 0}


def test_log_that_holds_no_texts_weighs_only_verdicts():
    long = audited(asked=tuple(m.ScoreItem(id="a", prompt="p" * 10**6, responses=("x" * 10**6,)) for _ in range(2)))
    assert long.cost > 10**4
    assert long.without_texts().cost < 100


def test_log_survives_a_sink_that_fails_and_says_so_once():
    fates = Fates()

    class Full(Sink):
        def write(self, line):
            if len(self.lines) < 12:
                self.lines.append(line)
                raise OSError(28, "No space left on device")
            self.lines.append(line)

    with structlog.testing.capture_logs() as said:
        sink = Full()
        log = AuditLog(sink, None, fates, most_cost=10**6)
        for _ in range(13):  # the first twelve fail with their first line
            log.put(audited())
        log.close(60)
    assert fates.counts == {"written": 4, "dropped": 12 * 4}
    (line,) = said
    assert (line["event"], line["reason"]) == ("audit records cannot be written", "No space left on device")


def test_sink_rotates_and_keeps_so_many_files(tmp_path):
    sink = open_sink(str(tmp_path / "audit.jsonl"), max_bytes=250, keep=2)
    for number in range(20):
        sink.write(b'{"number": %d, "filler": "%s"}\n' % (number, b"x" * 80))
    sink.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    text = "".join(file.read_text() for file in sorted(tmp_path.iterdir(), reverse=True))
    kept = [json.loads(line)["number"] for line in text.splitlines()]
    assert kept == list(range(20 - len(kept), 20))


def test_sink_of_a_dash_is_standard_output(capfd):
    open_sink("-", max_bytes=1, keep=1).write(b'{"a": 1}\n')
    assert capfd.readouterr().out == '{"a": 1}\n'


def test_sink_and_salt_that_cannot_be_used_are_refused_by_name(tmp_path):
    with pytest.raises(ConfigurationError, match=r"audit_file: .* cannot be written: No such file"):
        open_sink(str(tmp_path / "none" / "audit.jsonl"), max_bytes=1, keep=1)
    with pytest.raises(ConfigurationError, match=r"audit_salt_file: .* cannot be read"):
        read_salt(tmp_path / "none")
    (tmp_path / "salt").write_bytes(b"short\n")
    with pytest.raises(ConfigurationError, match=r"audit_salt_file: .* at least 16 random bytes"):
        read_salt(tmp_path / "salt")
