"""How much one request may hold, by count. Edges check it before they build anything, the plan before it scores."""

from dataclasses import dataclass
from typing import Final

from promedical.errors import ErrorCode
from promedical_service.errors import ServiceError

MAX_MESSAGES_PER_ITEM: Final = 1024
"""More turns than any context window holds."""
MAX_RUBRIC_PINS: Final = 4096
"""More rubrics than any service has."""

_LONG_CONVERSATION: Final = 64
"""The turns of a long conversation. Requests may have longer ones, but not in all of their items at once."""
_CHEAP: Final = 100_000
"""How many values may be read whatever the limits are: about ten MiB, in about ten milliseconds."""
_FIELDS: Final = 16
"""At least as many fields as a request or an item has, not counting lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLimits:
    """The largest counts. All methods raise ServiceError: too_large, with the path of what holds too much."""

    max_items: int
    max_responses_per_item: int
    max_criteria_per_item: int
    max_messages_per_item: int = MAX_MESSAGES_PER_ITEM

    @property
    def max_values(self) -> int:
        """How many values a request has whose items have long conversations and the most responses and criteria."""
        turns = min(self.max_messages_per_item, _LONG_CONVERSATION)
        lists = self.max_responses_per_item + 6 * self.max_criteria_per_item + 3 * turns
        return max(_FIELDS + self.max_items * (_FIELDS + lists), _CHEAP)

    def check_items(self, count: int) -> None:
        """Check the number of items of a request."""
        _check("items", count, self.max_items)

    def check_item(self, path: str, *, responses: int, criteria: int, messages: int = 0) -> None:
        """Check one item at `path` (empty for a request that is itself an item); `messages` are its prompt's."""
        prefix = f"{path}." if path else ""
        _check(f"{prefix}responses", responses, self.max_responses_per_item)
        _check(f"{prefix}rubric.criteria", criteria, self.max_criteria_per_item)
        _check(f"{prefix}prompt", messages, self.max_messages_per_item)

    def check_pins(self, count: int) -> None:
        """Check the number of rubrics that a request expects."""
        _check("expected_rubrics", count, MAX_RUBRIC_PINS)

    def check_rows(self, path: str, count: int) -> None:
        """Check a list in a drop-in's body: it may have at most as many entries as would fill all items."""
        _check(path, count, self.max_items * self.max_responses_per_item)


def _check(path: str, count: int, limit: int) -> None:
    if count > limit:
        raise ServiceError(ErrorCode.TOO_LARGE, f"{path} holds {count}; at most {limit} are allowed; split the request")
