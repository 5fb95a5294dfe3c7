"""Data that are mixed in: their share of every step, their splits, and what is refused."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelled import judged
from promedical_data.errors import DataError
from promedical_data.labelled import LabelledPrompt
from promedical_trainer.rm.expansion import Group
from promedical_trainer.rm.recipe import DataChoice, Optimisation, Part, RecipeError, RmRecipe, load_rm_recipe
from promedical_trainer.rm.splits import read_splits
from promedical_trainer.rm.training import steps_of


def recipe_of(batch_pairs: int = 12, epochs: int = 2, **weights: float) -> RmRecipe:
    mix = {name: Part(train=(f"{name}.jsonl",), weight=weight) for name, weight in weights.items()}
    return replace(
        load_rm_recipe("rm-tiny"),
        data=DataChoice(mix=mix),
        optimisation=Optimisation(batch_pairs=batch_pairs, epochs=epochs),
    )


def prompts_of(name: str, count: int) -> list[LabelledPrompt]:
    return [judged(f"{name}{number}", responses=3, criteria=3) for number in range(count)]


def pairs_of(step: list[Group], name: str) -> int:
    return sum(len(group.pairs) or 1 for group in step if group.prompt.id.startswith(name))


@given(
    counts=st.tuples(st.integers(1, 12), st.integers(1, 5)),
    batch_pairs=st.integers(1, 40),
    epochs=st.integers(1, 3),
    weight=st.sampled_from([0.1, 0.5, 1.0, 3.0]),
)
def test_every_step_holds_all_parts_and_own_groups_stay_in_order(counts, batch_pairs, epochs, weight):
    own, part = prompts_of("own", counts[0]), prompts_of("part", counts[1])
    recipe = recipe_of(batch_pairs, epochs, part=weight)
    steps = steps_of(own, recipe, {"part": part})

    assert all(pairs_of(step, "own") and pairs_of(step, "part") for step in steps)
    mine = [group for step in steps for group in step if group.prompt.id.startswith("own")]
    epochs_of_own = [recipe.expansion.groups(own, seed=0, epoch=epoch) for epoch in range(epochs)]
    assert mine == [group for groups in epochs_of_own for group in groups]
    assert steps == steps_of(own, recipe, {"part": part})


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0])
def test_parts_have_the_share_of_their_weight(weight):
    steps = steps_of(prompts_of("own", 60), recipe_of(36, part=weight), {"part": prompts_of("part", 7)})

    own, part = (sum(pairs_of(step, name) for step in steps) for name in ("own", "part"))
    assert part / own == pytest.approx(weight, rel=0.1)
    assert max(pairs_of(step, "part") for step in steps) < 3 * weight * 36


def test_parts_beside_each_other_keep_their_own_shares():
    parts = {"few": prompts_of("few", 5), "many": prompts_of("many", 30)}
    steps = steps_of(prompts_of("own", 60), recipe_of(40, few=0.5, many=1.5), parts)

    own, few, many = (sum(pairs_of(step, name) for step in steps) for name in ("own", "few", "many"))
    assert (few / own, many / own) == (pytest.approx(0.5, rel=0.15), pytest.approx(1.5, rel=0.1))


def test_part_that_is_used_up_begins_again_with_other_groups():
    part = [judged("part", responses=8, criteria=3)]
    steps = steps_of(prompts_of("own", 20), recipe_of(6, part=1.0), {"part": part})

    drawn = [group for step in steps for group in step if group.prompt.id == "part"]
    a_pass = len(recipe_of(part=1.0).expansion.groups(part, seed=0, epoch=0))
    assert len(drawn) > 2 * a_pass
    assert drawn[:a_pass] != drawn[a_pass : 2 * a_pass]


def test_without_parts_steps_are_as_before():
    own = prompts_of("own", 9)
    assert steps_of(own, recipe_of()) == steps_of(own, recipe_of(), {})


def test_part_that_teaches_nothing_is_refused():
    alone = [judged("part", responses=1, criteria=2)]
    silent = [replace(each, responses=tuple(replace(r, labels={}) for r in each.responses)) for each in alone]
    with pytest.raises(RecipeError, match=r"data\.mix\.part: its 1 training prompts hold nothing that the loss reads"):
        steps_of(prompts_of("own", 3), recipe_of(part=1.0), {"part": silent})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.mix={drills: {train: []}}", "train is empty: name a file to learn from"),
        ("data.mix={drills: {train: [a], weight: 0}}", "weight is 0.0: expected a finite number above 0"),
        ("data.mix={drills: {train: [a], weight: .nan}}", "weight is nan: expected a finite number above 0"),
        ("data.mix={drills: {train: [a], wieght: 1}}", "wieght"),
        ("data.mix=[drills]", "data.mix"),
    ],
    ids=["no-file", "no-weight", "not-a-number", "misspelt", "a-list"],
)
def test_recipe_names_what_is_wrong_with_a_part(override, message):
    with pytest.raises(RecipeError, match=message):
        load_rm_recipe("rm-tiny", [override])


def rows(name: str, count: int, source: str = "ours") -> list[dict[str, Any]]:
    """Prompts that share few words, with two responses each."""
    draw = random.Random(name)
    criterion = {"id": "c", "text": "Is plain.", "dimension": "proficiency", "polarity": "positive"}
    return [
        {
            "id": f"{name}-{number}",
            "source": source,
            "prompt": f"user: {' '.join(''.join(draw.choices('bcdfglmnprst', k=6)) for _ in range(6))}?",
            "criteria": [criterion],
            "responses": [
                {"id": str(met), "text": f"Text {met}.", "labels": {"c": {"met": met, "kind": "llm"}}} for met in (0, 1)
            ],
        }
        for number in range(count)
    ]


def choice(folder: Path, mixed: dict[str, list[dict[str, Any]]], **others: Any) -> DataChoice:
    own = {name: rows(name, 3) for name in ("train", "dev", "test")}
    for name, found in {**own, **{f"drills-{split}": each for split, each in mixed.items()}}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    part = Part(**{split: (f"drills-{split}.jsonl",) for split in mixed})
    return DataChoice(**{name: (f"{name}.jsonl",) for name in own}, physicians=(), mix={"drills": part}, **others)


def test_part_is_read_with_its_own_splits(tmp_path):
    mixed = {split: rows(f"mixed-{split}", 2) for split in ("train", "dev", "test")}
    (tmp_path / "NOTE.md").write_text("## Where they are from\n")
    splits = read_splits(tmp_path, choice(tmp_path, mixed))

    part = splits.parts["drills"]
    assert part.note == "## Where they are from\n"
    assert [len(each) for each in (part.train, part.dev, part.test)] == [2, 2, 2]
    assert [prompt.id for prompt in splits.learnt] == [*(p.id for p in splits.train), *(p.id for p in part.train)]
    assert len(splits.reports) == 6


def test_prompts_that_any_split_holds_apart_are_learnt_from_nowhere(tmp_path):
    """Own test in the part's train, and the part's dev and test in own train and dev."""
    test, dev = rows("test", 3), rows("dev", 3)
    mixed = {
        "train": [*rows("mixed", 2), {**test[0], "id": "copy of test"}],
        "dev": [{**rows("train", 3)[0], "id": "copy of train"}, *rows("mixed-dev", 1)],
        "test": [{**dev[1], "id": "copy of dev"}],
    }
    splits = read_splits(tmp_path, choice(tmp_path, mixed))

    assert [prompt.id for prompt in splits.parts["drills"].train] == ["mixed-0", "mixed-1"]
    assert [prompt.id for prompt in splits.train] == ["train-1", "train-2"]
    assert [prompt.id for prompt in splits.dev] == ["dev-0", "dev-2"]
    assert splits.leaks == {"copy of test", "train-0"}


def test_excluded_source_is_left_out_of_a_part_too(tmp_path):
    mixed = {"train": [*rows("mixed", 2), *rows("theirs", 2, source="theirs")]}
    splits = read_splits(tmp_path, choice(tmp_path, mixed, exclude_sources=("theirs",)))
    assert {prompt.source for prompt in splits.learnt} == {"ours"}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (rows("train", 3)[:1], "prompt 'train-0' is in other training data too; give ids that differ"),
        ([{**rows("test", 3)[0], "id": "x"}], "mix.drills: all its training prompts are in another split too"),
        ([{**row, "responses": row["responses"][1:]} for row in rows("mixed", 2)], "its 2 training labels are of one"),
        (
            [{**row, "responses": [{"text": "No label."}]} for row in rows("mixed", 2)],
            "its 0 training labels are of one",
        ),
    ],
    ids=["same-id", "nothing-left", "one-class", "no-labels"],
)
def test_part_that_cannot_be_used_is_named(tmp_path, train, message):
    with pytest.raises(DataError, match=message):
        read_splits(tmp_path, choice(tmp_path, {"train": train}))
