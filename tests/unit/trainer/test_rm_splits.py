"""What a run reads: which responses of dev calibrate, and what does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from promedical_data.errors import DataError
from promedical_trainer.rm.recipe import DataChoice
from promedical_trainer.rm.splits import Splits, read_splits

CRITERION = {"id": "c", "text": "Is plain.", "dimension": "proficiency", "polarity": "positive", "points": 5}
NAMES = [f"answer-{number:02}" for number in range(20)]


def a_row(name: str, responses: list[str], source: str = "ours") -> dict[str, Any]:
    return {
        "id": name,
        "source": source,
        "prompt": f"user: What about {name}, and nothing like {name[::-1]}?",
        "criteria": [CRITERION],
        "responses": [
            {"id": each, "text": f"Text of {each}.", "model": "m", "labels": {"c": a_label(index % 2)}}
            for index, each in enumerate(responses)
        ],
    }


def a_label(met: int) -> dict[str, Any]:
    return {"met": met, "kind": "llm", "raters": []}


def splits(folder: Path, dev: list[dict[str, Any]], **choice: Any) -> Splits:
    files = {
        "train": [a_row("one", NAMES[:2]), a_row("two", NAMES[:2], source="theirs")],
        "dev": dev,
        "test": [a_row("the third of them", NAMES[:2])],
    }
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    named = {name: (f"{name}.jsonl",) for name in files} | {"physicians": ("nobody.jsonl",)}
    return read_splits(folder, DataChoice(**(named | choice)))


def drawn(folder: Path, responses: list[str], most: int | None = 4) -> list[str]:
    read = splits(folder, [a_row("another prompt", responses)], dev_responses=most)
    return [each.id for each in read.dev[0].responses]


def test_dev_responses_are_drawn_whatever_order_the_file_has(tmp_path: Path) -> None:
    kept = drawn(tmp_path, NAMES)
    assert len(kept) == 4
    assert kept == [name for name in NAMES if name in kept]
    assert kept != NAMES[:4]
    assert sorted(drawn(tmp_path, NAMES[::-1])) == kept
    assert set(drawn(tmp_path, NAMES, most=3)) < set(kept)
    assert drawn(tmp_path, NAMES, most=None) == NAMES


def test_dev_prompts_draw_apart(tmp_path: Path) -> None:
    rows = [a_row(f"{word} prompt number {word}", NAMES) for word in ("green", "blue", "red")]
    read = splits(tmp_path, rows, dev_responses=4)
    assert len({tuple(each.id for each in prompt.responses) for prompt in read.dev}) == 3


def test_excluded_sources_do_not_calibrate_but_stay_in_dev(tmp_path: Path) -> None:
    rows = [a_row("ours, of dev", NAMES), a_row("not of us, in dev", NAMES, source="theirs")]
    read = splits(tmp_path, rows, exclude_sources=("theirs",))
    assert [prompt.id for prompt in read.train] == ["one"]
    assert [prompt.id for prompt in read.dev] == ["ours, of dev", "not of us, in dev"]
    assert [prompt.id for prompt in read.calibrating] == ["ours, of dev"]


def test_dev_of_excluded_sources_alone_cannot_calibrate(tmp_path: Path) -> None:
    rows = [a_row("not of us, in dev", NAMES, source="theirs")]
    with pytest.raises(DataError, match=r"dev.jsonl: 0 labels of one class or none; .*; prompts of theirs do not cal"):
        splits(tmp_path, rows, exclude_sources=("theirs",))


def test_excluded_source_may_stand_in_dev_alone(tmp_path: Path) -> None:
    rows = [a_row("ours, of dev", NAMES), a_row("not of us, in dev", NAMES, source="elsewhere")]
    read = splits(tmp_path, rows, exclude_sources=("elsewhere",))
    assert len(read.train) == 2
    assert len(read.calibrating) == 1
    with pytest.raises(DataError, match="source 'nowhere' is not in the data"):
        splits(tmp_path, rows, exclude_sources=("nowhere",))


def test_physicians_that_are_not_there_are_named(tmp_path: Path) -> None:
    assert splits(tmp_path, [a_row("another prompt", NAMES)]).missing == ("nobody.jsonl",)
