"""HealthBench items with what the score needs: points, axes, themes, and the responses to be graded.

Two formats: OpenAI's own (`rubrics` with points and tags; see `data.healthbench_format`), and the criteria format
whose criteria have `points` and perhaps `axis`. Responses come from a file of answers, or from the item, or are the
physicians' ideal completions.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from promedical.visible import is_blank
from promedical_bench.tasks.policy_answers import PolicyAnswers, read_answers
from promedical_bench.tasks.task import LEAVE_OUT
from promedical_data.errata import warning_on
from promedical_data.errors import DataError
from promedical_data.formats import criteria as criteria_format
from promedical_data.formats import healthbench as healthbench_format
from promedical_data.formats.content import Content, content_of
from promedical_data.formats.lines import usable
from promedical_data.labelled import LabelledPrompt, LabelledResponse
from promedical_data.selection import without_criteria
from promedical_data.skips import Place, Refusal, SkipLog, Skipped

EXPECTED: Final = "HealthBench items (prompt, rubrics with points), or prompts with criteria that have points"

_AXIS: Final = "axis:"
_THEME: Final = "theme:"


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedItem:
    """One item.

    Attributes:
        prompt: The conversation, its criteria and responses, with labels where the responses were graded before.
        points: By criterion id; there is a positive one.
        axes: By criterion id, as "axis: accuracy"; criteria without an axis are absent.
        themes: As "theme: hedging".
    """

    prompt: LabelledPrompt
    points: Mapping[str, float]
    axes: Mapping[str, str]
    themes: tuple[str, ...]


_Found: TypeAlias = tuple[GradedItem, str | None]
"""An item, and its ideal completion where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """What was read."""

    items: tuple[GradedItem, ...]
    contents: tuple[Content, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    unread_answers: int
    unanswered: int


def read_items(path: Path, responses: Path | None, left_out: Collection[str] = ()) -> Items:
    """Read items and the responses to grade.

    Raises:
        DataError: A file cannot be used, or no item has a response.
    """
    content, log = content_of(path, EXPECTED), SkipLog()
    whole = usable(content, lambda raw, place: _item(raw, place, content.source), log, EXPECTED, key=_prompt_of)
    found = _without(whole, left_out)
    fewer = len(whole) - len(found)
    warning = warning_on((item.prompt for item, _ in found), LEAVE_OUT)
    prompts = [item.prompt.id for item, _ in found]
    answers = read_answers(responses, log, prompts=prompts) if responses else None
    items = [(item, _responses(item, ideal, answers)) for item, ideal in found]
    kept = [replace(item, prompt=replace(item.prompt, responses=graded)) for item, graded in items if graded]
    if not kept:
        raise DataError(f"{path}: no item has a response to grade; give a file of answers with --responses")
    return Items(
        items=tuple(kept),
        contents=(content, answers.content) if answers else (content,),
        skipped=log.summary(),
        unread_answers=answers.unread if answers else 0,
        unanswered=len(items) - len(kept) if answers else 0,
        notes=(
            *([warning] if warning else []),
            *([f"{fewer:,} items have no positive points without these criteria."] if fewer else []),
            *_notes(kept, len(items) - len(kept), responses),
            *(answers.strays({item.prompt.id for item, _ in items}) if answers else ()),
        ),
    )


def _without(found: Sequence[_Found], names: Collection[str]) -> list[_Found]:
    """The items without these criteria; those without positive points are left out, since they have no score."""
    kept = {prompt.id: prompt for prompt in without_criteria([item.prompt for item, _ in found], names)}
    items = [(_narrowed(item, kept[item.prompt.id]), ideal) for item, ideal in found if item.prompt.id in kept]
    return [(item, ideal) for item, ideal in items if any(value > 0 for value in item.points.values())]


def _narrowed(item: GradedItem, prompt: LabelledPrompt) -> GradedItem:
    points = {each.id: item.points[each.id] for each in prompt.criteria}
    return replace(item, prompt=prompt, points=points, axes={k: v for k, v in item.axes.items() if k in points})


def _prompt_of(found: _Found) -> tuple[str, str]:
    return "id", found[0].prompt.id


def _item(whole: dict[str, Any], place: Place, source: str) -> _Found:
    raw = _with_blank_responses(whole)
    if "rubrics" in raw:
        prompt = healthbench_format.parse_row(raw, place, source=source, responses_needed=False, blank_responses=True)
        named = zip(healthbench_format.ids_of(raw["rubrics"]), raw["rubrics"], strict=True)
        entries = [(name, entry) for name, entry in named if _is_usable(entry)]
        axes = {key: tag for key, entry in entries for tag in entry.get("tags") or () if tag.startswith(_AXIS)}
    else:
        prompt = criteria_format.parse_row(raw, place, source=source, responses_needed=False, blank_responses=True)
        entries = [(str(entry.get("id")), entry) for entry in raw["criteria"] if isinstance(entry, dict)]
        axes = {key: f"{_AXIS}{entry['axis']}" for key, entry in entries if entry.get("axis")}
    points = {key: entry.get("points") for key, entry in entries}
    item = GradedItem(
        prompt=prompt,
        points=_points(prompt, points),
        axes={key: _spaced(tag) for key, tag in axes.items()},
        themes=_themes(raw.get("example_tags") or []),
    )
    return item, _ideal(raw)


def _with_blank_responses(raw: dict[str, Any]) -> dict[str, Any]:
    """The row; a response whose text is null is what the policy answered: nothing."""
    responses = raw.get("responses")
    if not isinstance(responses, list):
        return raw
    blank = [isinstance(each, dict) and "text" in each and each["text"] is None for each in responses]
    return raw | {"responses": [each | {"text": ""} if b else each for each, b in zip(responses, blank, strict=True)]}


def _is_usable(entry: Any) -> bool:
    """Whether the reader of the format can use an entry; it leaves the others out, and counts them."""
    return isinstance(entry, dict) and isinstance(entry.get("criterion"), str) and _are_texts(entry.get("tags") or [])


def _themes(tags: Any) -> tuple[str, ...]:
    if not _are_texts(tags):
        raise Refusal("example_tags: is not a list of texts")
    return tuple(_spaced(tag) for tag in tags if tag.startswith(_THEME))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _points(prompt: LabelledPrompt, points: Mapping[str, Any]) -> dict[str, float]:
    given = {each.id: points.get(each.id) for each in prompt.criteria}
    found = {name: float(value) for name, value in given.items() if isinstance(value, int | float)}
    if len(found) < len(given):
        raise Refusal("criteria: have no points; the score of HealthBench is made of them")
    if not any(value > 0 for value in found.values()):
        raise Refusal("criteria: none has positive points, so the score is not defined")
    return found


def _spaced(tag: str) -> str:
    kind, _, name = tag.lower().partition(":")
    return f"{kind}: {name.replace('_', ' ')}"


def _ideal(raw: dict[str, Any]) -> str | None:
    data = raw.get("ideal_completions_data")
    text = data.get("ideal_completion") if isinstance(data, dict) else None
    return text if isinstance(text, str) and not is_blank(text) else None


def _responses(item: GradedItem, ideal: str | None, answers: PolicyAnswers | None) -> tuple[LabelledResponse, ...]:
    if answers is not None:
        found = answers.by_prompt.get(item.prompt.id, ())
        return tuple(LabelledResponse(id=f"r{place}", text=each.text) for place, each in enumerate(found, start=1))
    if item.prompt.responses:
        return item.prompt.responses
    return (LabelledResponse(id="ideal", text=ideal),) if ideal else ()


def _notes(items: Sequence[GradedItem], without: int, responses: Path | None) -> tuple[str, ...]:
    ideal = responses is None and all(item.prompt.responses[0].id == "ideal" for item in items)
    notes = ["The responses are the physicians' ideal completions: a policy's answers come with --responses."]
    return (*(notes if ideal else []), *([f"{without:,} items have no response and are left out."] if without else []))
