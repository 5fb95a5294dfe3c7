"""Label Studio's JSON: a task for each checkpoint, an annotation for each rater.

    [{"id", "data": {"prompt": [{"role", "content"}], "answer", "criterion", "facts": {...}},
      "annotations": [{"completed_by": name, "result": [
          {"type": "choices", "from_name": "verdict", "to_name": "answer", "value": {"choices": ["met"]}},
          {"type": "textarea", "from_name": "rationale", "to_name": "answer", "value": {"text": ["..."]}},
          {"type": "labels", "from_name": "span", "to_name": "answer",
           "value": {"start", "end", "labels": ["basis"]}}]}]}]

`CONFIG` is the labelling interface for such tasks. Names of raters are pseudonyms; where Label Studio wrote a number or
a user in their place, that is the name.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from promedical_data.errors import DataError
from promedical_data.files import output_file
from promedical_data.formats.conversations import messages_of
from promedical_review.bench_items.rated import Rated
from promedical_review.formats.checkpoints import CheckpointRow, Vote, rated_from
from promedical_review.formats.rows import Facts, Said, Turn, checked_row, entries, facts_of, rater_name

EXPECTED: Final = "Label Studio's JSON export of tasks that promedical-review exported"
DROPS: Final = "times, gold and repeated items, drafts, adjudications, events"
"""What is not in the file."""

CONFIG: Final = """<View>
  <Paragraphs name="prompt" value="$prompt" layout="dialogue" nameKey="role" textKey="content"/>
  <Labels name="span" toName="answer"><Label value="basis"/></Labels>
  <Text name="answer" value="$answer"/>
  <Header value="$criterion"/>
  <Choices name="verdict" toName="answer" choice="single" required="true">
    <Choice value="met" hotkey="1"/><Choice value="not_met" hotkey="2"/><Choice value="cannot_assess" hotkey="3"/>
  </Choices>
  <TextArea name="rationale" toName="answer" maxSubmissions="1"/>
</View>
"""


class _Data(BaseModel):
    prompt: list[Turn]
    answer: str
    criterion: str
    facts: Facts


class _Annotation(BaseModel):
    completed_by: Any
    result: list[dict[str, Any]]
    was_cancelled: bool = False


class _Task(BaseModel):
    data: _Data
    annotations: list[_Annotation]


def write(path: Path, rows: Sequence[CheckpointRow]) -> None:
    """Write checkpoints as tasks.

    Raises:
        DataError: The file cannot be written.
    """
    tasks = [_task(number, row) for number, row in enumerate(rows, start=1)]
    with output_file(path) as stream:
        json.dump(tasks, stream, ensure_ascii=False, indent=1)


def read(path: Path) -> Rated:
    """Read annotated tasks.

    Raises:
        DataError: The file holds none, or a task cannot be used.
    """
    return rated_from([_row(place, task) for place, task in entries(path, _Task, EXPECTED)])


def _task(number: int, row: CheckpointRow) -> dict[str, Any]:
    texts = {"prompt": messages_of(row.prompt), "answer": row.answer.text, "criterion": row.criterion.text}
    return {
        "id": number,
        "data": {**texts, "facts": facts_of(row)},
        "annotations": [{"completed_by": rater_name(vote), "result": _result(vote)} for vote in row.votes],
    }


def _result(vote: Vote) -> list[dict[str, Any]]:
    given = vote.given
    found = [_part("choices", "verdict", {"choices": [given.verdict]})]
    if given.rationale:
        found.append(_part("textarea", "rationale", {"text": [given.rationale]}))
    if given.span:
        found.append(_part("labels", "span", {"start": given.span[0], "end": given.span[1], "labels": ["basis"]}))
    return found


def _part(kind: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "from_name": name, "to_name": "answer", "value": value}


def _row(place: str, task: _Task) -> CheckpointRow:
    said = [_said(place, each) for each in task.annotations if not each.was_cancelled]
    return checked_row(place, task.data.facts, task.data.prompt, task.data.answer, task.data.criterion, said)


def _said(place: str, annotation: _Annotation) -> Said:
    values = {each.get("from_name"): each.get("value") or {} for each in annotation.result}
    span = values.get("span")
    by = annotation.completed_by
    try:
        return Said(
            rater=str(by.get("email") or by.get("id") if isinstance(by, dict) else by),
            verdict=(values.get("verdict", {}).get("choices") or [None])[0],
            rationale="\n".join(values.get("rationale", {}).get("text", [])),
            span=(span["start"], span["end"]) if span else None,
        )
    except (ValidationError, TypeError, KeyError, AttributeError):
        raise DataError(f"{place}: an annotation has no verdict of met, not_met, cannot_assess; {EXPECTED}") from None
