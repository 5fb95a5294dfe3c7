"""HealthBench (arXiv 2505.08775) as OpenAI publishes it, translations of it, and HealthBench Professional.

HealthBench: {"prompt_id", "prompt": messages, "rubrics": [{"criterion", "points", "tags"}], "example_tags",
"ideal_completions_data": {"ideal_completion", "ideal_completions_ref_completions": [...], ...}, "canary"}
Professional: {"id", "conversation": {"messages"} or messages, "rubric_items": [{"criterion_text", "points"}],
"physician_response", "canary_string", ...}
Translations: every turn has its translation beside it, under "translated_content" or "content_" and a language
"""

from collections.abc import Iterator
from typing import Any, Final

from promedical.visible import is_blank
from promedical_data.formats import fields as parts
from promedical_data.publishers.alike import messages
from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings, given_prompt
from promedical_data.skips import Place, Refusal

_TRANSLATED: Final = "translated_content"
_TRANSLATED_TO: Final = "content_"
_KEPT: Final = ("example_tags", "canary")
"""Keys of an item that mean the same in a row of ours."""


def _shape(raw: Row, _: Place, __: Surroundings) -> Shaped:
    """An item as it is, but for the physicians' and the models' completions, which are responses without grades."""
    return Shaped(file_format="healthbench", row={**raw, "responses": [*_graded(raw), *_ideal(raw)]})


def _graded(raw: Row) -> list[Any]:
    responses = raw.get("responses")
    return responses if isinstance(responses, list) else []


def _ideal(raw: Row) -> Iterator[dict[str, Any]]:
    data = raw.get("ideal_completions_data")
    if not isinstance(data, dict):
        return
    yield from _response("ideal", data.get("ideal_completion"), raw)
    for number, text in enumerate(data.get("ideal_completions_ref_completions") or [], start=1):
        yield from _response(f"reference-{number}", text, raw)


def _response(name: str, text: object, raw: Row) -> Iterator[dict[str, Any]]:
    """A response that nobody graded."""
    if isinstance(text, str) and not is_blank(text):
        rubrics = raw.get("rubrics")
        grades: list[None] = [None] * len(rubrics) if isinstance(rubrics, list) else []
        yield {"id": name, "text": text, "grades": grades}


def _professional(raw: Row, _: Place, __: Surroundings) -> Shaped:
    conversation = raw["conversation"]
    turns = conversation.get("messages") if isinstance(conversation, dict) else conversation
    rubrics = [_professional_entry(each) for each in raw["rubric_items"]]
    item: Row = {
        "prompt_id": raw.get("id"),
        "prompt": messages(turns, "conversation"),
        "rubrics": rubrics,
        "canary": raw.get("canary_string"),
    }
    responses = list(_response("physician", raw.get("physician_response"), item))
    return Shaped(file_format="healthbench", row={**item, "responses": responses})


def _professional_entry(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {"criterion": entry.get("criterion_text"), "points": entry.get("points")}


def _translated(raw: Row, _: Place, surroundings: Surroundings) -> Shaped:
    key = _translation_key(raw)
    turns = [_translated_turn(turn, key) for turn in raw["prompt"]]
    name = f"{parts.filled(str(raw.get('prompt_id') or ''), 'prompt_id')}:{_language(raw, key)}"
    if raw.get("rubrics"):
        kept: Row = {key: raw[key] for key in _KEPT if key in raw}
        item = {**kept, "prompt_id": name, "prompt": turns, "rubrics": raw["rubrics"]}
        return Shaped(file_format="healthbench", row=item)
    given = given_prompt(surroundings, str(raw["prompt_id"]))
    return Shaped(file_format="criteria", row={**given, "id": name, "prompt": turns, "responses": []})


def _translation_key(raw: Row) -> str:
    """The key of the translation, which the first turn has."""
    first = raw["prompt"][0]
    keys = [key for key in first if key == _TRANSLATED or key.startswith(_TRANSLATED_TO)]
    if len(keys) != 1:
        raise Refusal(f"prompt: has several translations: {', '.join(sorted(keys))}; leave one of them")
    return str(keys[0])


def _translated_turn(turn: Any, key: str) -> dict[str, Any]:
    text = turn.get(key) if isinstance(turn, dict) else None
    if not isinstance(text, str) or is_blank(text):
        raise Refusal(f"prompt.{key}: is missing in a turn")
    return {"role": turn.get("role"), "content": text}


def _language(raw: Row, key: str) -> str:
    """The language as the file names it."""
    if key != _TRANSLATED:
        return key.removeprefix(_TRANSLATED_TO)
    about = raw.get("translation_info")
    return str(about.get("lang") or "translated") if isinstance(about, dict) else "translated"


def _has_translation(row: Row) -> bool:
    prompt = row["prompt"]
    first = prompt[0] if isinstance(prompt, list) and prompt else None
    return isinstance(first, dict) and any(key == _TRANSLATED or key.startswith(_TRANSLATED_TO) for key in first)


HEALTHBENCH: Final = Publisher(
    name="healthbench",
    title="HealthBench, all its subsets, in OpenAI's format (arXiv 2505.08775)",
    licence="MIT",
    reads="prompt; rubrics with points and axis, dimensions derived from them; the physicians' completion and the "
    "references as responses without labels; grades, where our own files have them; canary and example_tags",
    drops="other tags of criteria",
    needs=("prompt", "rubrics"),
    shape=_shape,
    fits=lambda row: isinstance(row["rubrics"], list) and not _has_translation(row),
)

HEALTHBENCH_PROFESSIONAL: Final = Publisher(
    name="healthbench-professional",
    title="HealthBench Professional (openai/healthbench-professional)",
    licence="see its page; its authors ask that examples are not shown in public",
    reads="conversation; rubric_items with points, dimensions derived from them; the physician's response, without "
    "labels; canary_string",
    drops="use_case, type, difficulty, specialty",
    needs=("conversation", "rubric_items"),
    shape=_professional,
    fits=lambda row: isinstance(row["rubric_items"], list),
)

HEALTHBENCH_TRANSLATED: Final = Publisher(
    name="healthbench-translated",
    title="Translations of HealthBench: HealthBenchX, Extending-HealthBench",
    licence="MIT, as HealthBench",
    reads="the translated turns; rubrics of the row, or, if it has none, the criteria of the item with its prompt_id "
    "in --prompts",
    drops="the original text, completions in either language",
    needs=("prompt", "prompt_id"),
    shape=_translated,
    fits=_has_translation,
)
