"""Stages that ask models, as the pure functions that they are: what they ask, and what they make of what comes back."""

import json

import pytest
from jsonschema import Draft202012Validator

from promedical.rubric import Criterion
from promedical_curation.asking.answers import Answer
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.failures import Unanswered
from promedical_curation.rows import Drop, Failed, Row
from promedical_curation.rubrics.pool import Example, Pool, held_out
from promedical_curation.stages import candidates, category, drafting, gating, judging, labelling, rubric, rubric_notes
from promedical_curation.stages.prompt_files import built_in_prompt
from promedical_data.reading import read
from promedical_data.writing import write

QUESTION = "Can I take ibuprofen with warfarin?"
ANSWERS = ("No: together they raise the risk of bleeding.", "Yes, take 400 mg.", "Ask a pharmacist first.")


def endpoint(name, model="m", **others):
    return Endpoint(base_url="http://127.0.0.1:1/v1", model=model, name=name, **others)


def answer(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return Answer(text=text, finish="stop", model="m", input_tokens=1, output_tokens=1)


def unanswered():
    return Unanswered(error="timeout", message="no answer", key="k", final=False)


def row(**notes):
    return Row(id="q1", source="test", origin="1", licence="MIT", instruction=QUESTION, notes=notes)


def responses(*texts):
    return {
        "responses": [{"id": f"r{n}", "model": "m", "parameters": {}, "text": text} for n, text in enumerate(texts, 1)]
    }


def proposed(text, dimension="proficiency", polarity="positive", *, weight=3, factual=False, citation=""):
    return {
        "text": text, "dimension": dimension, "polarity": polarity,
        "weight": weight, "factual": factual, "citation": citation,
    }  # fmt: skip


def criterion(name, text, dimension="proficiency"):
    return {
        "id": name, "text": text, "dimension": dimension, "weight": None, "citation": None, "factual": False,
        "polarity": "negative" if dimension == "safety" else "positive", "drafters": ["a"],
    }  # fmt: skip


@pytest.fixture
def sorter():
    taxonomy = category.built_in_taxonomy()
    return category.Category(endpoint=endpoint("category"), prompt=built_in_prompt("category"), taxonomy=taxonomy)


def test_category_asks_with_every_word_of_the_taxonomy_and_notes_the_answer(sorter):
    (request,) = sorter.ask(row())

    shown = request.messages[0]["content"]
    assert all(f"- {word}: " in shown for word in (*sorter.taxonomy.specialties, *sorter.taxonomy.kinds))
    note = {"specialty": "haematology", "kind": "medication"}
    assert Draft202012Validator(request.schema).is_valid(note)
    assert not Draft202012Validator(request.schema).is_valid(note | {"kind": "gossip"})
    assert sorter.decide(row(), [answer(note)]).notes["category"] == note


def test_category_drops_what_is_not_about_health(sorter):
    dropped = sorter.decide(row(), [answer({"specialty": "not_medical", "kind": "knowledge"})])

    assert isinstance(dropped, Drop)
    assert dropped.reason == "not_medical"


@pytest.fixture
def asked_three():
    models = (endpoint("c/1", "one"), endpoint("c/2", "two"), endpoint("c/3", "one"))
    return candidates.Candidates(endpoints=models, prompt=built_in_prompt("candidate"))


def test_candidates_asks_each_model_and_one_model_twice_for_two_samples(asked_three):
    requests = asked_three.ask(row())

    assert [(each.to, each.model, each.sample) for each in requests] == [
        ("c/1", "one", 0),
        ("c/2", "two", 0),
        ("c/3", "one", 1),
    ]
    assert len({each.key for each in requests}) == 3


def test_candidates_are_noted_with_their_model_and_equal_texts_count_once(asked_three):
    found = asked_three.decide(row(), [answer("A  b."), answer("A b."), answer("C.")]).notes["candidates"]

    assert [(each["id"], each["model"], each["text"]) for each in found["responses"]] == [
        ("r1", "one", "A  b."),
        ("r2", "one", "C."),
    ]


@pytest.mark.parametrize("replies", [("A.", None, None), ("A.", "A.", " "), (None, None, None)], ids=str)
def test_candidates_drops_a_row_that_has_fewer_than_two(asked_three, replies):
    dropped = asked_three.decide(row(), [unanswered() if each is None else answer(each) for each in replies])

    assert isinstance(dropped, Drop)
    assert dropped.reason == "few_candidates"
    assert dropped.note["unanswered"] == replies.count(None)


def drafters(*, pool=()):
    both = (endpoint("drafters/1", "one"), endpoint("drafters/2", "two"))
    return drafting.Drafting(endpoints=both, prompt=built_in_prompt("drafting"), pool=Pool(pool))


def test_drafting_shows_two_candidates_and_the_nearest_corrected_rubric():
    text = "States that both raise the risk of bleeding."
    corrected = Criterion(id="c", text=text, dimension="proficiency", weight=5)
    near, far = (n for n in (f"p{n}" for n in range(99)) if not held_out(n)), "Why is the sky blue?"
    pool = [
        Example(id=next(near), instruction=far, criteria=(corrected,)),
        Example(id=next(near), instruction="Can I take aspirin with warfarin?", criteria=(corrected,)),
    ]
    stage = drafting.Drafting(
        endpoints=(endpoint("drafters"),), prompt=built_in_prompt("drafting"), pool=Pool(pool), examples=1
    )

    (request,) = stage.ask(row(candidates=responses(*ANSWERS)))

    roles = [each["role"] for each in request.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert "aspirin" in request.messages[1]["content"]
    assert Draft202012Validator(request.schema).is_valid(json.loads(request.messages[2]["content"]))
    assert sum(text in request.messages[3]["content"] for text in ANSWERS) == 2


def test_pool_never_holds_the_held_out_slice_nor_shows_a_question_its_own_rubric():
    examples = [Example(id=f"q{n}", instruction=QUESTION, criteria=()) for n in range(300)]

    pool = Pool(examples)

    kept = {each.id for each in pool.examples}
    assert kept == {each.id for each in examples if not held_out(each.id)}
    assert 10 < 300 - len(kept) < 60
    mine = min(kept)
    assert mine not in {each.id for each in pool.nearest(mine, QUESTION, 300)}


def test_drafting_makes_the_pool_part_of_what_it_depends_on():
    example = Example(id=next(n for n in map(str, range(99)) if not held_out(n)), instruction="x", criteria=())

    assert drafters(pool=[example]).stage.config != drafters().stage.config


def test_drafting_notes_what_cannot_be_a_criterion_and_fails_without_any():
    good = {"criteria": [proposed("States the risk."), proposed("Warns of harm.", "safety", "positive")]}

    noted = drafters().decide(row(candidates=responses(*ANSWERS)), [answer(good), unanswered()])
    failed = drafters().decide(row(candidates=responses(*ANSWERS)), [unanswered(), unanswered()])

    (draft,) = noted.notes["drafting"]["drafts"]["drafters/1"]
    assert (draft["text"], draft["weight"], draft["drafters"]) == ("States the risk.", 3.0, ["drafters/1"])
    assert "polarity" in noted.notes["drafting"]["refused"][0]
    assert isinstance(failed, Failed)
    assert failed.error == "no_draft"


def test_drafts_survive_their_note():
    entries = {
        "criteria": [
            proposed("States the risk.", factual=True, citation="BNF"),
            proposed("Doubles it.", "safety", "negative"),
        ]
    }
    drafts, refused = rubric_notes.drafted(entries, "a")

    assert refused == []
    assert rubric_notes.from_note(json.loads(json.dumps(rubric_notes.as_note(drafts)))) == drafts


def drafted_row(*by_drafter):
    drafts = {
        f"d{number}": rubric_notes.as_note(rubric_notes.drafted({"criteria": entries}, f"d{number}")[0])
        for number, entries in enumerate(by_drafter, 1)
    }
    return row(candidates=responses(*ANSWERS), drafting={"drafts": drafts, "refused": []})


def test_rubric_is_what_drafters_share_and_what_one_adds_without_what_is_badly_worded():
    shared = proposed("States that the risk of bleeding rises.")
    first = [shared, proposed("The response is accurate."), proposed("States 4 g a day.", factual=True)]
    second = [shared, proposed("Tells the patient to take both.", "safety", "negative")]

    note = rubric.Rubric().decide(drafted_row(first, second), ()).notes["rubric"]

    assert [(each["text"], each["drafters"]) for each in note["criteria"]] == [
        (shared["text"], ["d1", "d2"]),
        ("Tells the patient to take both.", ["d2"]),
    ]
    assert {(each["reason"], each["detail"]) for each in note["refused"]} == {
        ("wording", "boilerplate"),
        ("no_citation", ""),
    }


def test_rubric_drops_a_row_that_is_left_without_a_criterion_of_proficiency():
    dropped = rubric.Rubric().decide(
        drafted_row([proposed("Tells the patient to take both.", "safety", "negative")]), ()
    )

    assert isinstance(dropped, Drop)
    assert dropped.reason == "no_rubric"


JUDGES = (endpoint("judges/1", "one"), endpoint("judges/2", "two"))
CRITERIA = [
    criterion("c1", "States that the risk of bleeding rises."),
    criterion("c2", "Tells the patient to take both.", "safety"),
]


def judge():
    return judging.Judging(endpoints=JUDGES, prompt=built_in_prompt("judging"), rubric="rubric")


def judged_row(**more):
    return row(candidates=responses(*ANSWERS), rubric={"criteria": CRITERIA}, **more)


def test_judging_asks_every_judge_about_every_criterion_of_every_candidate_criterion_last():
    requests = judge().ask(judged_row())

    assert len(requests) == 2 * 3 * 2
    first, second = (each.messages[1]["content"] for each in requests[:2])
    assert first.endswith(CRITERIA[0]["text"])
    assert first.removesuffix(CRITERIA[0]["text"]) == second.removesuffix(CRITERIA[1]["text"])


def test_judging_believes_met_only_on_a_passage_that_the_answer_holds():
    said = [
        {"evidence": "raise the risk of bleeding", "verdict": "met"},
        {"evidence": "lower the risk of bleeding", "verdict": "met"},
        {"evidence": "", "verdict": "not_met"},
        {"evidence": "", "verdict": "cannot_assess"},
    ]
    replies = [*(answer(each) for each in said), *(unanswered() for _ in range(8))]

    note = judge().decide(judged_row(), replies).notes["verdicts"]

    assert [(each["met"], each["quoted"]) for each in note["votes"]] == [
        (True, True),
        (None, False),
        (False, False),
        (None, False),
    ]
    assert note["unanswered"] == 8


def votes(*cells):
    """One judge's votes: (response, criterion, met)."""
    return {
        "votes": [{"judge": "a", "response": r, "criterion": c, "met": met} for r, c, met in cells],
        "unanswered": 0,
    }


def test_gate_leaves_out_what_tells_no_candidate_apart():
    always = [(r, "c0", True) for r in ("r1", "r2", "r3")]
    apart = [("r1", "c1", True), ("r2", "c1", False), ("r3", "c1", False)]
    nobody = [(r, "c2", False) for r in ("r1", "r2", "r3")]
    criteria = [criterion("c0", "States that it is a drug."), *CRITERIA]
    before = row(
        candidates=responses(*ANSWERS), rubric={"criteria": criteria}, verdicts=votes(*always, *apart, *nobody)
    )

    note = gating.gating().decide(before, ()).notes["gate"]

    assert [each["id"] for each in note["criteria"]] == ["c1", "c2"]
    assert [(each["id"], each["reason"]) for each in note["refused"]] == [("c0", "always_met")]


class Table(list):
    """All rows, as a table stage sees them."""


def labelled(rows, **more):
    stage = labelling.Labelling(rubric="rubric", verdicts="verdicts", golds={}, **more)
    return list(stage.decide(Table(rows)))


def test_labels_become_a_file_that_reads_back_as_what_the_judges_said(tmp_path):
    cells = [("r1", "c1", True), ("r2", "c1", False), ("r3", "c1", False), ("r1", "c2", False), ("r2", "c2", True)]

    (found,) = labelled([judged_row(verdicts=votes(*cells))], least=0.5)
    write([labelling.labelled_prompt(found)], tmp_path / "pairs.jsonl", "criteria")
    (prompt,) = read(tmp_path / "pairs.jsonl").prompts

    said = {(r.id, name): label.met for r in prompt.responses for name, label in r.labels.items()}
    assert said == {(r, c): met for r, c, met in cells}
    assert found.notes["labels"]["pairs"] == 3
    assert [each.text for each in prompt.criteria] == [each["text"] for each in CRITERIA]


def test_labels_drop_a_row_that_nothing_can_be_learnt_from():
    (dropped,) = labelled([judged_row(verdicts=votes(("r1", "c1", True), ("r2", "c1", True), ("r3", "c1", None)))])

    assert isinstance(dropped, Drop)
    assert dropped.reason == "no_pair"
