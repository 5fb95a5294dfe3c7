"""One sample as a framework hands it out, read into an exchange, or into the error that is its grade. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from promedical.errors import ErrorCode
from promedical.interop.exchanges import Exchange, read_answer
from promedical.interop.labels import RubricChoice
from promedical.messages import ErrorInfo, RubricPin
from promedical.rubric import InvalidField, check_encodable
from promedical_client.errors import MisconfiguredError
from promedical_client.integrations.settings import alike
from promedical_data.criteria_labels import read_criteria_label

Sample = Exchange | ErrorInfo
"""One response as it was read, or why it cannot be read, which is then its grade."""


def read_sample(prompt: Any, response: Any, label: Any) -> Exchange:
    """The exchange of a sample, which every wire can carry; its rubric is None where the label is empty.

    Raises:
        InvalidField: Something of it cannot be read.
    """
    text = response if isinstance(response, str) else read_answer(response)
    exchange = Exchange.read(prompt, text, rubric=read_criteria_label(label))
    check_encodable(exchange.response, "response")
    for index, turn in enumerate(exchange.turns):
        check_encodable(turn.content, f"prompt[{index}].content")
    return exchange


def check_pinned(rubric: RubricChoice | None, pins: Sequence[RubricPin]) -> None:
    """Check that a rubric that a sample names is among the pins, since the service refuses a whole call for one.

    Raises:
        InvalidField: There are pins, and none of them can be for this name.
    """
    if not pins or not isinstance(rubric, str):
        return
    name, has_version = rubric.partition("@")[0], "@" in rubric
    if not any(pin.name in (rubric, name) or (not has_version and pin.name.partition("@")[0] == name) for pin in pins):
        raise InvalidField("label", "names a rubric that is not among expected_rubrics; pin it too if it is wanted")


LABEL_COLUMNS: Final = ("rubric", "criteria", "rubrics", "rubric_id")
"""Where data sets hold criteria (our files as `criteria`, HealthBench as `rubrics`) or the name of a rubric; the first
one that is filled counts."""


def labels_of(count: int, columns: Mapping[str, Any]) -> list[Any]:
    """One label per sample from the columns of a data set; None for a row without one.

    Raises:
        MisconfiguredError: There is no column of labels, but one that is spelt much like it.
    """
    found = [columns[name] for name in LABEL_COLUMNS if columns.get(name) is not None]
    if not found:
        _check_spelling(columns)
    return [next((label for label in row if label is not None), None) for row in zip(*found, strict=True)] or (
        [None] * count
    )


def _check_spelling(columns: Iterable[str]) -> None:
    for name in columns:
        meant = alike(name, LABEL_COLUMNS)
        if meant and name not in LABEL_COLUMNS:
            raise MisconfiguredError(f"column {name}: is not known; did you mean {meant}?")


def unreadable(reason: str) -> ErrorInfo:
    """The grade of a sample that is never asked about, or not answered, because of what it holds."""
    return ErrorInfo(code=ErrorCode.INVALID_ITEM, message=reason)
