"""Bench items: two blind raters, agreement or an adjudicator, errata, and hidden checks of raters."""

from itertools import count

import pytest

from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.errata import Errata
from promedical_review.bench_items.items import Answer
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.reading import items_of
from promedical_review.bench_items.redaction import redacted
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.errors import (
    ClosedError,
    ConflictError,
    InvalidError,
    LeaseLostError,
    NotAllowedError,
    NotFoundError,
)
from promedical_review.store.events import history
from promedical_review.work.desk import Desk
from promedical_review.work.leases import LEASE_S
from reviewing import adjudication, bench_item, rating, rows_in, user, uuid4

PLAIN = Design(overlap=0, repeats=0, golds=0)


class Study:
    """The app on one database, with two raters and an adjudicator."""

    def __init__(self, database, clock):
        self.database, self.clock = database, clock
        self.sets, self.errata = BenchSets(database, clock), Errata(database, clock)
        self.rating, self.adjudicating = Rating(database, clock), Adjudicating(database, clock)
        self.ada, self.ben = user(database, "ada"), user(database, "ben")
        self.eve = user(database, "eve", "adjudicator")

    def open(self, *items, design=PLAIN):
        made = self.sets.add("bench", items or [bench_item("i0")], design, actor="root")
        return self.sets.open(made.id, actor="root")

    def rate(self, who, body=None, **exceptions):
        item = self.rating.take(who)
        self.rating.rate(who, item.task_id, body or rating(item, **exceptions), client_id=uuid4(), version=item.version)
        return item

    def adjudicate(self, who=None, verdict="not_met"):
        work = self.adjudicating.take(who or self.eve)
        body = adjudication(work, verdict)
        self.adjudicating.decide(who or self.eve, work.item.task_id, body, client_id=uuid4(), version=work.item.version)
        return work

    def finals(self, **wanted):
        rows = rows_in(self.database, "finals")
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


@pytest.fixture
def study(sqlite, clock):
    return Study(sqlite, clock)


def states(study, made):
    return dict(study.sets.get(made.id).items)


def test_raters_who_agree_lock_the_item(database, clock):
    study = Study(database, clock)
    made = study.open()

    study.rate(study.ada)
    assert states(study, made) == {"rating": 1}
    assert study.finals() == []
    study.rate(study.ben)

    assert states(study, made) == {"locked": 1}
    assert len(study.finals(origin="agreed", verdict="met")) == 4
    assert study.adjudicating.take(study.eve) is None
    assert study.sets.close(made.id, actor="root").state == "closed"


def test_conflict_goes_to_an_adjudicator_who_sees_opinions_without_raters(database, clock):
    study = Study(database, clock)
    made = study.open()
    study.rate(study.ada)
    study.rate(study.ben, at_1="cannot_assess")
    assert states(study, made) == {"adjudicating": 1}

    work = study.adjudicate()

    ((opinions),) = work.conflicts.values()
    assert {each.verdict for each in opinions} == {"met", "cannot_assess"}
    shown = repr(work)
    assert not any(secret in shown for who in (study.ada, study.ben) for secret in (who.id, who.pseudonym))
    assert not any(row["id"] in shown for row in rows_in(database, "tasks") if row["purpose"] == "rating")
    (final,) = study.finals(origin="adjudicated")
    assert (final["verdict"], final["reason"]) == ("not_met", "slip")
    assert len(study.finals(origin="agreed")) == 3
    assert states(study, made) == {"locked": 1}
    assert {row["verdict"] for row in rows_in(database, "verdicts")} == {"met", "cannot_assess"}


def test_adjudicator_who_rated_the_item_does_not_get_it(study):
    study.open()
    study.rate(study.eve)
    study.rate(study.ada, verdict="not_met")

    assert study.adjudicating.take(study.eve) is None
    assert study.adjudicating.take(user(study.database, "fay", "adjudicator")) is not None


def test_nobody_rates_an_item_twice_and_a_third_rater_only_where_they_overlap(study):
    study.open(bench_item("i0"), bench_item("i1"), design=Design(overlap=1, repeats=0, golds=0))
    cat = user(study.database, "cat")
    for who in (study.ada, study.ben, cat):
        study.rate(who)
        study.rate(who)
        assert study.rating.take(who) is None

    ratings = [row for row in rows_in(study.database, "tasks") if row["purpose"] == "rating"]
    assert len({(row["subject"], row["user_id"]) for row in ratings}) == len(ratings) == 6


def test_shares_of_a_design_are_met(study):
    items = [bench_item(f"i{number}", answers=1) for number in range(60)]
    study.open(*items, design=Design(overlap=0.25, repeats=0, golds=0))

    assert 120 + 5 <= len(rows_in(study.database, "tasks")) <= 120 + 27


def test_two_of_three_who_agree_are_no_agreement(study):
    study.open(design=Design(overlap=1, repeats=0, golds=0))
    for who, verdict in [(study.ada, "met"), (study.ben, "met"), (user(study.database, "cat"), "not_met")]:
        study.rate(who, verdict=verdict)

    work = study.adjudicating.take(study.eve)
    assert {len(opinions) for opinions in work.conflicts.values()} == {3}


def test_rater_changes_a_rating_until_the_others_are_done(study):
    study.open()
    item = study.rate(study.ada)
    again = study.rating.look(study.ada, item.task_id)
    study.rating.rate(study.ada, item.task_id, rating(again, "not_met"), client_id=uuid4(), version=again.version)
    study.rate(study.ben, verdict="not_met")

    assert len(study.finals(verdict="not_met", origin="agreed")) == 4
    with pytest.raises(ClosedError):
        study.rating.rate(study.ada, item.task_id, rating(again), client_id=uuid4(), version=2)
    assert study.rating.look(study.ada, item.task_id).draft.body == rating(again)


def test_second_tab_of_a_rater_gets_both_versions(study):
    study.open()
    item = study.rate(study.ada)

    with pytest.raises(ConflictError) as caught:
        study.rating.rate(study.ada, item.task_id, rating(item, "not_met"), client_id=uuid4(), version=0)

    assert (caught.value.theirs, caught.value.mine) == (rating(item), rating(item, "not_met"))


def test_expired_item_goes_to_another_rater_and_is_rated_once(study):
    study.open()
    item = study.rating.take(study.ada)
    study.rate(study.ben)
    study.clock.now += LEASE_S
    study.rate(user(study.database, "cat"))

    with pytest.raises(LeaseLostError):
        study.rating.rate(study.ada, item.task_id, rating(item), client_id=uuid4(), version=0)
    assert len(rows_in(study.database, "verdicts")) == 8
    assert Desk(study.database, study.clock).draft(study.ada.id, item.task_id).body == rating(item)


def test_gold_and_repeated_items_look_like_any_other(study):
    gold = bench_item("gold", gold={("a0", "dose"): "met"})
    items = [bench_item(f"i{number}", answers=1) for number in range(40)]
    study.open(gold, *items, design=Design(overlap=0, repeats=0.25, golds=0.25))

    seen = []
    while item := study.rating.take(study.ada):
        seen.append(item)
        study.clock.now += 60
        study.rating.rate(study.ada, item.task_id, rating(item), client_id=uuid4(), version=0)
        assert len(seen) < 90

    tasks = {row["id"]: row for row in rows_in(study.database, "tasks")}
    purposes = [tasks[item.task_id]["purpose"] for item in seen]
    assert purposes.count("rating") == 40
    assert purposes.count("gold") == 1
    assert purposes.count("repeat") >= 1
    assert len({item.task_id for item in seen}) == len(seen)
    assert len({tuple(sorted(vars_of(item))) for item in seen}) == 1
    for place, purpose in enumerate(purposes):
        if purpose == "repeat":
            assert seen[place].prompt in [item.prompt for item in seen[: place - 1]]


def vars_of(item):
    return list(type(item).__dataclass_fields__)


def test_repeats_and_gold_change_no_final(study):
    gold = bench_item("gold", gold={("a0", "dose"): "met"})
    study.open(gold, *[bench_item(f"i{n}") for n in range(6)], design=Design(overlap=0, repeats=0.25, golds=0.25))
    for who in (study.ada, study.ben):
        while study.rating.take(who):
            study.rate(who)

    assert len(study.finals()) == 6 * 4
    assert {row["origin"] for row in study.finals()} == {"agreed"}


def test_order_of_answers_differs_by_rater_and_stays_for_each(study):
    study.open(bench_item("i0", answers=12))
    ada, ben = study.rating.take(study.ada), study.rating.take(study.ben)

    assert [each.id for each in ada.answers] == [each.id for each in study.rating.take(study.ada).answers]
    assert [each.id for each in ada.answers] != [each.id for each in ben.answers]
    assert {each.id for each in ada.answers} == {each.id for each in ben.answers}


def test_erratum_reopens_what_changed_and_carries_the_rest(study):
    made = study.open()
    study.rate(study.ada)
    study.rate(study.ben, at_0="not_met")
    study.adjudicate()
    (old,) = items_of(study.database, made.id)

    found = study.errata.reopen(old.ids.id, {"dose": "The response states 1 g"}, reason="was vague", actor="root")

    assert found.version == 2
    assert found.rescore == [("a0", "dose"), ("a1", "dose")]
    assert states(study, made) == {"superseded": 1, "rating": 1}
    item = study.rating.take(study.ada)
    assert [each.text for each in item.criteria] == ["The response states 1 g"]
    assert study.rating.take(study.eve) is None  # saw what the raters of the first version said
    study.rate(study.ada)
    study.rate(user(study.database, "fay", "adjudicator"))
    new = next(each for each in items_of(study.database, made.id) if each.version == 2)
    mine = [row for row in study.finals() if row["answer_id"] in new.ids.answers.values()]
    assert sorted(row["origin"] for row in mine) == ["agreed", "agreed", "carried", "carried"]
    assert len(study.finals()) == 8


def test_erratum_opens_a_closed_set_until_it_is_closed_again(study):
    made = study.open()
    study.rate(study.ada)
    study.rate(study.ben)
    study.sets.close(made.id, actor="root")
    (old,) = items_of(study.database, made.id)

    study.errata.reopen(old.ids.id, {"dose": "The response states 1 g"}, reason="was vague", actor="root")
    study.rate(study.ada)
    study.rate(study.ben)

    assert states(study, made) == {"superseded": 1, "locked": 1}
    assert study.sets.close(made.id, actor="root").state == "closed"


def test_raters_of_the_first_version_do_not_adjudicate_the_second(study):
    made = study.open()
    study.rate(study.eve)
    study.rate(study.ada)
    (old,) = items_of(study.database, made.id)
    study.errata.reopen(old.ids.id, {"dose": "The response states 1 g"}, reason="was vague", actor="root")
    study.rate(study.ada)
    study.rate(study.ben, verdict="not_met")

    assert study.adjudicating.take(study.eve) is None
    assert study.adjudicating.take(user(study.database, "fay", "adjudicator")) is not None


@pytest.mark.parametrize(
    ("wordings", "reason", "said"),
    [
        ({}, "wrong", "wordings: is empty"),
        ({"dose": "The response states a dose for adults"}, "wrong", "words 'dose' as it was"),
        ({"other": "x"}, "wrong", "names 'other'"),
        ({"dose": " "}, "wrong", r"wordings\.text"),
        ({"dose": "x"}, " ", "reason: is empty"),
    ],
    ids=["empty", "same", "unknown", "blank", "reason"],
)
def test_errata_that_correct_nothing_are_refused(study, wordings, reason, said):
    made = study.open()
    study.rate(study.ada)
    study.rate(study.ben)
    (old,) = items_of(study.database, made.id)

    with pytest.raises(InvalidError, match=said):
        study.errata.reopen(old.ids.id, wordings, reason=reason, actor="root")
    assert states(study, made) == {"locked": 1}


def test_only_a_locked_item_is_corrected(study):
    made = study.open()
    (old,) = items_of(study.database, made.id)
    with pytest.raises(NotAllowedError, match="only a locked item"):
        study.errata.reopen(old.ids.id, {"dose": "x"}, reason="wrong", actor="root")
    with pytest.raises(NotFoundError):
        study.errata.reopen("none", {"dose": "x"}, reason="wrong", actor="root")


def test_closed_set_takes_nothing_and_keeps_drafts(study):
    made = study.open()
    item = study.rating.take(study.ada)
    with pytest.raises(NotAllowedError, match="1 items are not rated"):
        study.sets.close(made.id, actor="root")
    study.sets.close(made.id, actor="root", incomplete=True)

    with pytest.raises(LeaseLostError):
        study.rating.rate(study.ada, item.task_id, rating(item), client_id=uuid4(), version=0)
    assert study.rating.take(study.ada) is None
    assert Desk(study.database, study.clock).draft(study.ada.id, item.task_id).body == rating(item)


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_those_who_see_results_neither_rate_nor_adjudicate(study, role):
    eye = user(study.database, "eye", role)
    with pytest.raises(NotAllowedError, match="does not rate"):
        study.rating.take(eye)
    with pytest.raises(NotAllowedError, match="does not adjudicate"):
        study.adjudicating.take(eye)
    with pytest.raises(NotAllowedError, match="role physician does not adjudicate"):
        study.adjudicating.take(study.ada)


def test_tasks_of_other_people_and_kinds_are_not_there(study):
    study.open()
    item = study.rate(study.ada)
    study.rate(study.ben, verdict="not_met")
    work = study.adjudicating.take(study.eve)
    calls = [
        lambda: study.rating.look(study.ben, item.task_id),
        lambda: study.rating.look(study.eve, work.item.task_id),
        lambda: study.adjudicating.look(study.eve, item.task_id),
        lambda: study.rating.rate(study.eve, work.item.task_id, rating(item), client_id=uuid4(), version=0),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()


def broken(name, item):
    body, place = rating(item), count()
    first = body["verdicts"][next(place)]
    match name:
        case "lacks one":
            body["verdicts"].pop()
        case "twice":
            body["verdicts"].append(first)
        case "other item":
            first["answer"] = "f" * 24
        case "word":
            first["verdict"] = "perhaps"
        case "span past the end":
            first["span"] = [0, 10_000]
        case "empty span":
            first["span"] = [3, 3]
        case "surrogate":
            first["rationale"] = "\ud83d"
        case "field":
            first["model"] = "gpt"
        case "nothing":
            body = {}
    return body


BROKEN = {
    "lacks one": "verdicts",
    "twice": "verdicts[4]",
    "other item": "verdicts[0]",
    "word": "verdicts[0].verdict",
    "span past the end": "verdicts[0].span",
    "empty span": "verdicts[0].span",
    "surrogate": "verdicts[0].rationale",
    "field": "verdicts[0].model",
    "nothing": "verdicts",
}


@pytest.mark.parametrize("name", BROKEN)
def test_ratings_that_are_none_are_refused_by_field_and_kept(study, name):
    study.open()
    item = study.rating.take(study.ada)
    body = broken(name, item)

    with pytest.raises(InvalidError) as caught:
        study.rating.rate(study.ada, item.task_id, body, client_id=uuid4(), version=0)

    assert caught.value.field == BROKEN[name]
    assert rows_in(study.database, "verdicts") == []
    assert study.rating.look(study.ada, item.task_id).draft.body == body


def test_adjudication_without_a_reason_is_refused(study):
    study.open()
    study.rate(study.ada)
    study.rate(study.ben, verdict="not_met")
    work = study.adjudicating.take(study.eve)
    body = adjudication(work)
    del body["verdicts"][0]["reason"]

    with pytest.raises(InvalidError, match=r"verdicts\[0\]\.reason"):
        study.adjudicating.decide(study.eve, work.item.task_id, body, client_id=uuid4(), version=0)


@pytest.mark.parametrize(
    ("text", "model", "expected"),
    [
        ("As ChatGPT, I cannot say.", "", "As [redacted], I cannot say."),
        ("I am GPT-4o, a model.", "", "I am [redacted], a model."),
        ("I was developed by OpenAI.", "", "I was developed by [redacted]."),
        ("Search Google for a clinic; a llama bit me.", "", "Search Google for a clinic; a llama bit me."),
        ("Claude 3.5 says rest.", "", "[redacted] says rest."),
        ("Claude Bernard was a physiologist.", "", "[redacted] Bernard was a physiologist."),
        ("I am MedBot-7b.", "medbot-7b", "I am [redacted]."),
        ("Askk me.", "askk", "Askk me."),
        ("我是文心一言。", "", "我是[redacted]。"),
        ("Take 500 mg.", "gpt-4", "Take 500 mg."),
    ],
    ids=["chatgpt", "gpt4o", "maker", "plain", "claude", "name", "own-name", "word", "chinese", "nothing"],
)
def test_models_that_name_themselves_are_redacted(text, model, expected):
    assert redacted(text, model) == expected


def test_spans_count_characters_of_the_answer_as_it_is_shown(study):
    study.open()
    item = study.rating.take(study.ada)
    texts = {each.id: each.text for each in item.answers}
    assert all("[redacted]" in text and "GPT" not in text for text in texts.values())
    body = rating(item)
    for each in body["verdicts"]:
        each["span"] = [0, len(texts[each["answer"]])]

    study.rate(study.ada, body)

    assert all(row["span_start"] == 0 and row["span_end"] for row in rows_in(study.database, "verdicts"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"answers": ()}, "answers"),
        ({"prompt": ()}, "prompt"),
        ({"criteria": ()}, "criteria"),
        ({"gold": {("a0", "none"): "met"}}, "gold"),
        ({"key": "half \ud83d"}, "key"),
        ({"key": " "}, "key"),
        ({"category": "x" * 257}, "category"),
        ({"source": "NUL \0"}, "source"),
        ({"answers": (Answer(key="a0", text="x", model="m" * 257),)}, "answers[0].model"),
    ],
    ids=["answers", "prompt", "criteria", "gold", "surrogate", "empty", "long", "nul", "model"],
)
def test_items_that_cannot_be_rated_are_refused_by_field(change, field):
    whole = bench_item("i0")
    with pytest.raises(InvalidError) as caught:
        type(whole)(**{name: getattr(whole, name) for name in vars_of(whole)} | change)
    assert caught.value.field == field


def test_sets_that_cannot_be_are_refused(study):
    gold = bench_item("gold", gold={("a0", "dose"): "met"})
    for items, name, said in [
        ([bench_item("i"), bench_item("i")], "x", "holds the key 'i' twice"),
        ([gold], "x", "holds nothing to rate"),
        ([], "x", "holds nothing to rate"),
        ([bench_item("i")], " ", "expected 1 to 256"),
    ]:
        with pytest.raises(InvalidError, match=said):
            study.sets.add(name, items, actor="root")
    study.open()
    with pytest.raises(InvalidError, match="'bench', which is taken"):
        study.sets.add("bench", [bench_item("i")], actor="root")
    with pytest.raises(InvalidError, match="share from 0 to 1"):
        Design(overlap=2)
    with pytest.raises(InvalidError, match="more than half"):
        Design(repeats=0.4, golds=0.4)


def test_every_verdict_has_its_event(study):
    study.open()
    study.rate(study.ada)
    study.rate(study.ben, verdict="not_met")
    study.adjudicate()

    events = study.database.read(history)
    bodies = [event.data["body"] for event in events if event.kind == "task_submitted"]
    assert len(bodies) == 3
    assert [event.kind for event in events][-2:] == ["item_locked", "task_submitted"]
