"""Dedup, with the real embedding model."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promedical_curation.dedup.dedup import Thresholds, deduplicate
from promedical_curation.dedup.licences import freedom
from promedical_curation.dedup.meaning import meaning_pairs
from promedical_curation.dedup.near import near_pairs
from promedical_curation.embedding.encoder import normalised
from promedical_curation.embedding.minilm import DIMENSIONS, MiniLM
from promedical_curation.errors import CurationError
from promedical_curation.rows import Drop, Row
from promedical_data.overlap import jaccard, normalise, shingles

LONG = (
    "A patient comes to the emergency department because of severe chest pain that began two hours ago while shoveling "
    "snow, with sweating, nausea and shortness of breath, and asks what could be done until the ambulance arrives"
)
QUESTIONS = (
    "What are the symptoms of asthma?",
    "what are the symptoms of ASTHMA",
    "What are the signs of asthma?",
    "What are the signs and symptoms of asthma?",
    "What are the symptoms of diabetes?",
    "What are the treatments for asthma?",
    "How is asthma treated?",
    "What is type 1 diabetes?",
    "What is type 2 diabetes?",
    "What is type II diabetes?",
    "Is 10 % too much?",
    "Is 10 too much?",
    "Can I take aspirin?",
    "Can't I take aspirin?",
    "Is lupus inherited?",
    "Is Lupus hereditary?",
    LONG,
    LONG.replace("two", "three"),
    LONG + " please",
    "...",
    "?",
)


class Remembering:
    """The real model, which computes each text once in a whole test run."""

    name = "MiniLM"

    def __init__(self):
        self.model, self.known = MiniLM(), {}

    def encode(self, texts):
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        self.known.update(zip(new, self.model.encode(new), strict=True))
        return np.array([self.known[text] for text in texts], dtype=np.float32).reshape(len(texts), DIMENSIONS)


@pytest.fixture(scope="module")
def encoder():
    return Remembering()


def row(name, question, licence="MIT"):
    return Row(id=name, source="s", origin=name, licence=licence, instruction=question)


ROWS = st.lists(
    st.tuples(st.sampled_from(QUESTIONS), st.sampled_from(["MIT", "CC-BY-NC-4.0", "no licence stated"])), max_size=25
).map(lambda drawn: [row(f"q{number:02}", *each) for number, each in enumerate(drawn)])
RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@RELAXED
@given(rows=ROWS, data=st.data())
def test_dedup_does_not_depend_on_the_order_of_rows(encoder, rows, data):
    shuffled = data.draw(st.permutations(rows))
    one = {outcome_id(each): each for each in deduplicate(rows, encoder)}
    assert {outcome_id(each): each for each in deduplicate(shuffled, encoder)} == one


@RELAXED
@given(rows=ROWS)
def test_dedup_answers_every_row_in_order_and_every_keeper_is_kept(encoder, rows):
    outcomes = deduplicate(rows, encoder)
    assert [outcome_id(each) for each in outcomes] == [each.id for each in rows]
    kept = {each.id for each in outcomes if isinstance(each, Row)}
    drops = [each for each in outcomes if isinstance(each, Drop)]
    assert all(drop.note["keeper"] in kept for drop in drops)
    assert all(drop.reason == "duplicate" and set(drop.note) == {"keeper", "stage", "score"} for drop in drops)


@RELAXED
@given(rows=ROWS)
def test_dedup_of_what_it_kept_drops_nothing(encoder, rows):
    kept = [each for each in deduplicate(rows, encoder) if isinstance(each, Row)]
    assert deduplicate(kept, encoder) == kept


@RELAXED
@given(rows=ROWS)
def test_dedup_keeps_the_freest_licence_of_equal_texts(encoder, rows):
    outcomes = deduplicate(rows, encoder)
    by_id = {each.id: each for each in rows}
    for drop in outcomes:
        if isinstance(drop, Drop) and drop.note["stage"] == "exact":
            keeper = by_id[drop.note["keeper"]]
            assert (freedom(keeper.licence), keeper.id) < (freedom(drop.row.licence), drop.row.id)


@pytest.mark.parametrize(
    ("question", "stage"),
    [
        ("what are the symptoms of ASTHMA", "exact"),
        ("What are the signs of asthma?", "meaning"),
    ],
    ids=["exact", "meaning"],
)
def test_dedup_says_how_two_questions_are_alike(encoder, question, stage):
    kept, dropped = sorted(
        deduplicate([row("a", QUESTIONS[0]), row("b", question)], encoder), key=lambda each: isinstance(each, Drop)
    )
    assert isinstance(kept, Row)
    assert (dropped.note["keeper"], dropped.note["stage"]) == (kept.id, stage)
    assert dropped.note["score"] >= 0.9


def test_dedup_finds_long_texts_that_share_their_words(encoder):
    outcomes = deduplicate([row("a", LONG), row("b", LONG + " please")], encoder)
    assert [each.note["stage"] for each in outcomes if isinstance(each, Drop)] == ["near"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What are the symptoms of asthma?", "What are the symptoms of diabetes?"),
        ("What is type 1 diabetes?", "What is type 2 diabetes?"),
        ("Is 10 % too much?", "Is 10 too much?"),
        (LONG, LONG.replace("two", "three")),
    ],
    ids=["disease", "type", "percent", "long"],
)
def test_dedup_never_drops_against_the_guard(encoder, one, other):
    rows = [row("a", one), row("b", other)]
    assert deduplicate(rows, encoder) == rows


def test_dedup_without_the_guard_drops_what_looks_alike(encoder):
    rows = [row("a", "What is type 1 diabetes?"), row("b", "What is type 2 diabetes?")]
    assert (
        len(
            [each for each in deduplicate(rows, encoder, Thresholds(guard=False, cosine=0.7)) if isinstance(each, Drop)]
        )
        == 1
    )


def test_dedup_refuses_an_id_that_two_rows_have(encoder):
    with pytest.raises(CurationError, match="first 'a'; expected each id once"):
        deduplicate([row("a", "x?"), row("a", "y?")], encoder)


@pytest.mark.parametrize("values", [{"cosine": 1.2}, {"cosine": 0}, {"jaccard": 0.1}], ids=str)
def test_thresholds_refuse_what_no_similarity_can_be(values):
    with pytest.raises(CurationError, match="expected"):
        Thresholds(**values)


def test_near_pairs_are_those_of_all_pairs():
    texts = sorted(
        {normalise(f"{LONG} {extra}".replace(word, "")) for extra in ("now", "a b", "") for word in LONG.split()}
    )
    runs = [shingles(text) for text in texts]
    alike = {(i, j) for j in range(len(texts)) for i in range(j) if jaccard(runs[i], runs[j]) >= 0.8}
    assert {(pair.one, pair.other) for pair in near_pairs(texts, threshold=0.8)} == alike
    assert 0 < len(alike) < len(texts) * (len(texts) - 1) / 2


def test_inverted_file_finds_nearly_all_pairs_that_a_full_search_finds():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(1500, 64))
    vectors = normalised(np.repeat(centres, 2, axis=0) + generator.normal(scale=0.2, size=(3000, 64)))
    full = {dataclasses.astuple(pair)[:2] for pair in meaning_pairs(vectors, threshold=0.9)}
    listed = {dataclasses.astuple(pair)[:2] for pair in meaning_pairs(vectors, threshold=0.9, exact_up_to=0)}
    assert listed <= full
    assert len(listed) >= 0.98 * len(full) > 1000


def test_licences_are_ordered_by_freedom():
    order = [
        "CC0-1.0",
        "MIT",
        "Apache-2.0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-NC-SA-4.0",
        "no licence",
    ]
    assert sorted(order, key=freedom) == order


def outcome_id(outcome):
    return outcome.row.id if isinstance(outcome, Drop) else outcome.id
