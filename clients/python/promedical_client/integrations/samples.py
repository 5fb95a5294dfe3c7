"""One sample as a framework hands it out, read into an exchange, or into the error that is its grade. Pure."""

from collections.abc import Sequence
from typing import Any

from promedical.errors import ErrorCode
from promedical.interop.exchanges import Exchange, read_answer
from promedical.interop.labels import RubricChoice, read_label
from promedical.messages import ErrorInfo, RubricPin
from promedical.rubric import InvalidField, check_encodable

Sample = Exchange | ErrorInfo
"""One response as it was read, or why it cannot be read, which is then its grade."""


def read_sample(prompt: Any, response: Any, label: Any, *, default_rubric: str) -> Exchange:
    """The exchange of a sample, which every wire can carry.

    Raises:
        InvalidField: Something of it cannot be read.
    """
    text = response if isinstance(response, str) else read_answer(response)
    exchange = Exchange.read(prompt, text, rubric=read_label(label) or default_rubric)
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


def labels_of(count: int, rubric: Sequence[Any] | None, rubric_id: Sequence[Any] | None) -> list[Any]:
    """One label per sample from the columns of a data set: its rubric, else its rubric's name, else None."""
    nothing = [None] * count
    columns = zip(rubric or nothing, rubric_id or nothing, strict=True)
    return [name if criteria is None else criteria for criteria, name in columns]


def unreadable(reason: str) -> ErrorInfo:
    """The grade of a sample that is never asked about, or not answered, because of what it holds."""
    return ErrorInfo(code=ErrorCode.INVALID_ITEM, message=reason)
