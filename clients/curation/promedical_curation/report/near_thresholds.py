"""Rows near each threshold: whether a threshold is right shows there and nowhere else."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest, nsmallest
from typing import Any, Final

from promedical_curation.report.content import Example, Examples
from promedical_curation.report.run_view import RunView, StageView
from promedical_curation.stages import candidates, difficulty, labelling

_EACH: Final = 3
_CHARACTERS: Final = 400
_EXACT: Final = "exact"

Noted = tuple[dict[str, Any], dict[str, Any]]


def near_thresholds(run: RunView) -> tuple[Examples, ...]:
    """Examples of every stage that has a threshold."""
    made = (
        found for stage in run.stages for found in (_duplicates(stage), _contaminated(stage), _foreign(stage)) if found
    )
    rest = (_difficulty(run.stage(difficulty.NAME)), _labels(run.stage(labelling.NAME)))
    return tuple(found for found in (*made, *rest) if found.examples)


def _duplicates(stage: StageView) -> Examples | None:
    """The least alike of those that were taken for one."""
    drops = (each for each in stage.dropped("duplicate") if each[1].get("stage") != _EXACT)
    examples = []
    for row, note in _lowest(drops, "score"):
        keeper = stage.row(str(note.get("keeper")))
        texts = {"dropped": row["instruction"], "kept instead": keeper["instruction"] if keeper else "-"}
        decision = f"duplicate by {note.get('stage')}, {note['score']:.3f}{_limits(stage, 'jaccard', 'cosine')}"
        examples.append(_example(row["id"], decision, texts))
    return Examples(title=f"The least alike that count as one ({stage.name})", examples=tuple(examples))


def _contaminated(stage: StageView) -> Examples | None:
    """The least alike of those that a test is taken to ask."""
    examples = [
        _example(
            row["id"],
            f"asked by {note.get('benchmark')} ({note.get('entry')}) by {note.get('kind')}, {note['score']:.3f}"
            f"{_limits(stage, 'containment', 'cosine')}",
            {"dropped": row["instruction"]},
        )
        for row, note in _lowest(stage.dropped("contaminated"), "score")
    ]
    return Examples(title=f"The least alike that a test is taken to ask ({stage.name})", examples=tuple(examples))


def _foreign(stage: StageView) -> Examples | None:
    """Texts whose language was the least sure."""
    examples = [
        _example(
            row["id"],
            f"language {note.get('language')}, by a margin of {note['margin']}",
            {"dropped": row["instruction"]},
        )
        for row, note in _lowest(stage.dropped("language"), "margin")
    ]
    return Examples(title=f"The least foreign that were dropped ({stage.name})", examples=tuple(examples))


def _difficulty(stage: StageView | None) -> Examples:
    """Questions on either side of the bounds."""
    if stage is None:
        return Examples(title="", examples=())
    kept, easy, hard = (list[Noted](), list[Noted](), list[Noted]())
    kept += nsmallest(1, _numbered(stage.noted(), "difficulty"), key=_level)
    kept += nlargest(1, _numbered(stage.noted(), "difficulty"), key=_level)
    easy += nlargest(_EACH - 1, _numbered(stage.dropped("too_easy"), "difficulty"), key=_level)
    hard += nsmallest(_EACH - 1, _numbered(stage.dropped("too_hard"), "difficulty"), key=_level)
    examples = [
        _example(
            row["id"],
            f"difficulty {note['difficulty']}: {way}",
            {"question": row["instruction"], "reasons": str(note.get("reasons", "-"))},
        )
        for way, found in (("too easy", easy), ("kept", kept), ("too hard", hard))
        for row, note in found
    ]
    keep = stage.setting("keep")
    return Examples(title=f"At the bounds of the difficulty{f', {keep}' if keep else ''}", examples=tuple(examples))


def _labels(stage: StageView | None) -> Examples:
    """Labels that were only just sure enough."""
    if stage is None:
        return Examples(title="", examples=())
    found = nsmallest(_EACH, _all_labels(stage), key=lambda each: each[0])
    examples = [
        _example(
            row["id"],
            f"{'met' if label['met'] else 'not met'}, probability {label['probability']:.3f}{_limits(stage, 'least')}",
            {"criterion": criterion, "answer": response},
        )
        for _, _, _, row, label, criterion, response in found
    ]
    return Examples(title="The least sure labels that were kept", examples=tuple(examples))


def _all_labels(stage: StageView) -> Iterator[tuple[Any, ...]]:
    for row, notes in stage.kept():
        note = notes.get(stage.name, {})
        criteria = {each["id"]: each["text"] for each in notes.get(note.get("rubric"), {}).get("criteria", ())}
        responses = {each["id"]: each["text"] for each in notes.get(candidates.NAME, {}).get("responses", ())}
        for label in note.get("labels", ()):
            sure = max(label["probability"], 1 - label["probability"])
            place = (row["id"], f"{label['response']}/{label['criterion']}")
            yield sure, *place, row, label, criteria.get(label["criterion"], "-"), responses.get(label["response"], "-")


def _lowest(found: Iterable[Noted], name: str) -> list[Noted]:
    return nsmallest(_EACH, _numbered(found, name), key=lambda each: (each[1][name], each[0]["id"]))


def _numbered(found: Iterable[Noted], name: str) -> Iterator[Noted]:
    return (each for each in found if isinstance(each[1].get(name), int | float))


def _level(each: Noted) -> tuple[float, str]:
    return each[1]["difficulty"], each[0]["id"]


def _limits(stage: StageView, *names: str) -> str:
    found = [f"{name} {value}" for name in names if (value := stage.setting(name)) is not None]
    return f" (from {', '.join(found)})" if found else ""


def _example(row_id: str, decision: str, texts: Mapping[str, str]) -> Example:
    return Example(id=row_id, decision=decision, texts={name: _short(text) for name, text in texts.items()})


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _CHARACTERS else f"{plain[:_CHARACTERS].rstrip()} …"
