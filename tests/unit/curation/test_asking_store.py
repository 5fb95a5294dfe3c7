"""The response store keeps one answer per key, counts what it cost, and tells processes apart; on both databases."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.store import DeadLetter, Payer, Spending, open_store
from promedical_curation.errors import CurationError

PAYER = Payer(run="r", stage="s")
A, B, C = (letter * 64 for letter in "abc")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    if request.param == "sqlite":
        with closing(open_store(f"sqlite:///{tmp_path}/answers.sqlite")) as opened:
            yield opened
        return
    with closing(open_store(request.getfixturevalue("postgres"))) as opened:
        yield opened


def answer(text: str = "yes", **changes) -> Answer:
    values = {"text": text, "finish": "stop", "model": "m", "input_tokens": 3, "output_tokens": 2, "cost": 0.25}
    return Answer(**(values | changes))


def test_answer_is_read_as_it_was_kept(store):
    odd = answer("NUL \0, half a pair \ud83d, 中文", logprobs={"content": [float("-inf")]}, seconds=1.5)
    assert store.keep(A, "{}", odd, PAYER) == odd
    assert store.answers([A, B]) == {A: odd}
    assert store.known([A, B]) == {A}


def test_first_of_two_answers_is_kept_and_both_are_paid_for(store):
    store.keep(A, "{}", answer("first"), PAYER)
    assert store.keep(A, "{}", answer("second"), PAYER).text == "first"
    assert store.spending("r") == {
        "s": Spending(calls=2, attempts=2, input_tokens=6, output_tokens=4, cost=0.5, seconds=0.0)
    }


def test_many_keys_are_looked_up_at_once(store):
    keys = [f"{number:064}" for number in range(1203)]
    store.keep_all([(key, "{}", answer(key)) for key in keys], PAYER)
    assert {key: each.text for key, each in store.answers([*keys, A]).items()} == {key: key for key in keys}


def test_claim_is_one_process_s_until_it_ends(store):
    assert store.claim(A, "me", PAYER) == "claimed"
    assert store.claim(A, "me", PAYER) == "claimed"
    assert store.claim(A, "you", PAYER) == "taken"
    store.release(A, "you")
    assert store.claim(A, "you", PAYER) == "taken"
    store.release(A, "me")
    assert store.claim(A, "you", PAYER) == "claimed"


def test_claim_of_a_killed_process_expires(store, monkeypatch):
    store.claim(A, "killed", PAYER)
    store.claim(B, "alive", PAYER)
    later = time.time() + 61
    monkeypatch.setattr("promedical_curation.asking.store.time.time", lambda: later - 30)
    store.renew("alive")
    monkeypatch.setattr("promedical_curation.asking.store.time.time", lambda: later)
    assert store.claim(A, "me", PAYER) == "claimed"
    assert store.claim(B, "me", PAYER) == "taken"


def test_claims_of_a_run_can_be_forgotten_and_those_of_a_process_given_up(store):
    store.claim(A, "killed", PAYER)
    store.claim(B, "other", Payer(run="other", stage="s"))
    store.forget_claims("r")
    assert (store.claim(A, "me", PAYER), store.claim(B, "me", PAYER)) == ("claimed", "taken")
    store.release_all("other")
    assert store.claim(B, "me", PAYER) == "claimed"


def test_answered_key_is_not_claimed(store):
    store.keep(A, "{}", answer(), PAYER)
    assert store.claim(A, "me", PAYER) == "taken"
    store.keep(B, "{}", answer(), PAYER)


def test_budget_counts_what_is_spent_and_what_is_in_flight(store):
    store.keep(C, "{}", answer(cost=0.5), PAYER)
    assert store.claim(A, "me", PAYER, reserve=0.3, budget=1.0) == "claimed"
    assert store.claim(A, "me", PAYER, reserve=0.5, budget=1.0) == "claimed"  # its own reserve does not count twice
    assert store.claim(B, "me", PAYER, reserve=0.3, budget=1.0) == "waits_for_budget"
    assert store.claim(B, "me", PAYER, reserve=0.6, budget=1.0) == "over_budget"
    store.keep(A, "{}", answer(cost=0.1), PAYER)
    assert store.claim(B, "me", PAYER, reserve=0.3, budget=1.0) == "claimed"


def test_dead_letters_of_a_stage_are_noted_once_and_forgotten_when_it_starts_again(store):
    letter = DeadLetter(row_id="1", error="too_long", message="m", key=A, final=True)
    passing = DeadLetter(row_id="2", error="timeout", message="m", key=B)
    store.bury([letter, passing], PAYER)
    store.bury([letter], PAYER)
    assert store.dead_letters(PAYER) == [letter, passing]
    assert store.dead([A, B]) == {A: letter}
    assert store.dead_letters(Payer(run="other", stage="s")) == []
    store.exhume(PAYER, before=time.time() + 1)
    assert store.dead([A]) == {}


def test_checks_are_noted_by_run(store):
    store.note_checked("r", ["a", "b"])
    store.note_checked("r", ["b", "c"])
    assert (store.checked("r"), store.checked("other")) == ({"a", "b", "c"}, set())


def test_calls_without_an_answer_are_counted(store):
    store.add_attempts(3, PAYER)
    assert store.spending("r")["s"] == Spending(attempts=3)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "is not an address"),
        ("mysql://u:secret@h/n", r"mysql://u:\*\*\*@h/n: expected sqlite"),
        ("sqlite://", "expected sqlite"),
        ("sqlite:////nowhere/at/all/a.sqlite", "unable to open database file"),
        ("postgresql://u:secret@127.0.0.1:9/n", r"u:\*\*\*@127.0.0.1:9/n: cannot be opened"),
    ],
)
def test_store_that_cannot_be_opened_is_named_without_its_password(url, message, monkeypatch):
    monkeypatch.setattr("promedical_curation.asking.database._RECONNECTS", 1)
    with pytest.raises(CurationError, match=message) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("no database " * 100)
    with pytest.raises(CurationError, match="file is not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_text().startswith("no database")


def test_store_of_another_version_is_refused(tmp_path: Path):
    path = tmp_path / "a.sqlite"
    open_store(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE promedical_about SET value = '0'")
        database.commit()
    with pytest.raises(CurationError, match="has format 0; this version reads format 1"):
        open_store(f"sqlite:///{path}")
