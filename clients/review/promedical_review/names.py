"""Names and keys that files give: what both databases can hold in a column of text."""

from typing import Final

from promedical.rubric import InvalidField, check_encodable
from promedical_review.errors import InvalidError

LONGEST: Final = 256


def check_name(value: str, field: str, *, may_be_empty: bool = False) -> None:
    """Refuse a name that cannot be stored.

    Raises:
        InvalidError: It is empty or too long, or holds a NUL or half a surrogate pair.
    """
    try:
        check_encodable(value, field)
    except InvalidField as error:
        raise InvalidError(error.reason, error.field) from None
    if len(value) > LONGEST or "\0" in value or not (may_be_empty or value.strip()):
        raise InvalidError(f"has {len(value)} characters; expected 1 to {LONGEST} without a NUL", field)
