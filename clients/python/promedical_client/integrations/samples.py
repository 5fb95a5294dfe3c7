"""One sample as a framework hands it out, read into an exchange, or into the error that is its grade. Pure."""

from typing import Any

from promedical.errors import ErrorCode
from promedical.interop.exchanges import Exchange, read_answer
from promedical.interop.labels import read_label
from promedical.messages import ErrorInfo
from promedical.rubric import check_encodable

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


def unreadable(reason: str) -> ErrorInfo:
    """The grade of a sample that is never asked about, or not answered, because of what it holds."""
    return ErrorInfo(code=ErrorCode.INVALID_ITEM, message=reason)
