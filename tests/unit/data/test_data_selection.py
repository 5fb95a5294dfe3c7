"""Which prompts take part, and which are in two sets."""

import random
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promedical.messages import Message
from promedical_data.errors import DataError
from promedical_data.labelled import LabelledPrompt
from promedical_data.overlap import Overlap, jaccard, normalise, overlaps, shingles
from promedical_data.selection import without_sources

VOCABULARY = [f"word{number}" for number in range(400)]


def prompt(prompt_id: str, *contents: str, source: str = "clinic") -> LabelledPrompt:
    turns = tuple(Message(role="user", content=content) for content in contents)
    return LabelledPrompt(id=prompt_id, source=source, turns=turns, criteria=(), responses=())


def words(seed: int, count: int = 60) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=count)


# ---- sources ----


def test_without_sources_leaves_out_only_those():
    prompts = [prompt("a", "x", source="one"), prompt("b", "x", source="two"), prompt("c", "x", source="one")]
    assert [left.id for left in without_sources(prompts, ["two"])] == ["a", "c"]
    assert [left.id for left in without_sources(prompts, [])] == ["a", "b", "c"]


def test_without_sources_refuses_a_source_that_is_not_there():
    with pytest.raises(DataError, match="source 'tow' is not in the data; it has one, two"):
        without_sources([prompt("a", "x", source="one"), prompt("b", "x", source="two")], ["tow"])


def test_without_sources_refuses_to_leave_nothing():
    with pytest.raises(DataError, match="no prompt is left without one"):
        without_sources([prompt("a", "x", source="one")], ["one"])


# ---- the same prompt twice ----


def test_normalise_hides_case_width_punctuation_and_white_space():
    assert normalise("  What IS\tthe - dose?\n\n(\uff15\uff10\uff10 mg)") == "what is the dose 500 mg"


def test_normalise_keeps_what_changes_the_meaning():
    assert len({normalise(text) for text in ("< 5 mg", "> 5 mg", "15 mg", "कि", "की")}) == 5


@given(st.text())
def test_normalise_changes_nothing_twice(text):
    assert normalise(normalise(text)) == normalise(text)


def test_overlaps_finds_equal_conversations_however_they_are_written():
    first = [prompt("a", "Chest pain!", "Since   when?"), prompt("b", "Something else")]
    second = [prompt("c", "chest PAIN since", "when"), prompt("d", "Something different")]
    assert overlaps(first, second) == (Overlap(first="a", second="c", similarity=1.0, kind="exact"),)


def test_normalise_drops_marks_that_nobody_sees():
    assert normalise("chest\u200b pa\u00adin, since\u200e \u202bwhen\u202c?\ufeff") == "chest pain since when"


def with_system(asked: LabelledPrompt, text: str) -> LabelledPrompt:
    return replace(asked, turns=(Message(role="system", content=text), *asked.turns))


def test_overlaps_does_not_compare_system_turns():
    shared = " ".join(words(999, 300))
    first = [with_system(prompt(f"l{seed}", " ".join(words(seed))), shared) for seed in range(20)]
    second = [with_system(prompt(f"r{seed}", " ".join(words(seed))), shared) for seed in range(50, 70)]
    assert overlaps(first, second) == ()

    hidden = with_system(prompt("hidden", " ".join([*words(3)[:-1], "changed"])), " ".join(words(5, 300)))
    same = with_system(prompt("same", " ".join(words(7))), "Another one.")
    found = overlaps(first, [*second, hidden, same])
    assert [(overlap.first, overlap.second) for overlap in found] == [("l7", "same"), ("l3", "hidden")]


def test_overlaps_looks_past_what_all_prompts_share():
    template = " ".join(words(999, 300))
    first = [prompt(f"l{seed}", f"{template} {' '.join(words(seed))}") for seed in range(60)]
    second = [prompt(f"r{seed}", f"{template} {' '.join(edited(seed))}") for seed in range(59, 120)]
    assert [(overlap.first, overlap.second) for overlap in overlaps(first, second)] == [("l59", "r59")]


def test_overlaps_takes_time_for_prompts_not_for_pairs_of_them():
    shared = " ".join(words(999, 300))
    first = [with_system(prompt(f"l{seed}", " ".join(words(seed))), shared) for seed in range(2000)]
    second = [with_system(prompt(f"r{seed}", " ".join(words(seed))), shared) for seed in range(1990, 2490)]
    began = time.process_time()
    assert len(overlaps(first, second)) == 10
    assert time.process_time() - began < 15


def test_overlaps_names_every_pair_of_ids():
    found = overlaps([prompt("a", "same"), prompt("b", "Same")], [prompt("c", "same."), prompt("d", "same")])
    assert [(overlap.first, overlap.second) for overlap in found] == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]


def test_overlaps_tells_prompts_apart_that_hold_no_words():
    assert overlaps([prompt("a", "??")], [prompt("b", "!")]) == ()
    assert len(overlaps([prompt("a", "??")], [prompt("b", "??")])) == 1


def test_overlaps_finds_a_near_duplicate_with_its_true_similarity():
    text = words(1)
    near = [*text[:-1], "changed"]
    (found,) = overlaps([prompt("a", " ".join(text))], [prompt("b", " ".join(near))])
    assert found.kind == "near"
    assert found.similarity == pytest.approx(55 / 57)


def test_overlaps_finds_near_duplicates_in_writing_without_spaces():
    text = "我昨天开始胸口疼痛而且呼吸困难请问我应该马上去医院还是可以先在家里观察几天再决定"
    (found,) = overlaps([prompt("a", text)], [prompt("b", text + "呢")])
    assert (found.kind, found.similarity > 0.9) == ("near", True)


def edited(seed: int) -> list[str]:
    """Some text with a few words changed."""
    text, generator = words(seed), random.Random(seed)
    for position in generator.sample(range(60), generator.randint(0, 3)):
        text[position] = "changed"
    return text


def test_overlaps_agrees_with_comparing_every_pair():
    left = {f"l{seed}": " ".join(words(seed)) for seed in range(60)}
    right = {f"r{seed}": " ".join(edited(seed)) for seed in range(30, 120)}
    expected = {
        (one, other)
        for one, text in left.items()
        for other, match in right.items()
        if jaccard(shingles(normalise(text)), shingles(normalise(match))) >= 0.7
    }
    found = overlaps(
        [prompt(*entry) for entry in left.items()], [prompt(*entry) for entry in right.items()], threshold=0.7
    )
    assert len(expected) > 15
    assert {(overlap.first, overlap.second) for overlap in found} == expected
    assert [overlap.similarity for overlap in found] == sorted((o.similarity for o in found), reverse=True)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, float("nan")])
def test_overlaps_refuses_a_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match="expected more than 0 and at most 1"):
        overlaps([], [], threshold=threshold)


def test_overlaps_takes_every_threshold_in_range_and_empty_sets():
    for threshold in (0.01, 1.0):
        assert len(overlaps([prompt("a", "same")], [prompt("b", "same")], threshold=threshold)) == 1
    assert overlaps([], [prompt("a", "same")]) == ()
