"""What a reader leaves out of a file, and why: counted by reason, with the first few places. Never any text."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Final, Literal

Part = Literal["row", "criterion", "response", "label", "preference"]

_PLACES_KEPT: Final = 3
_ID_CHARACTERS_SHOWN: Final = 40


class Refusal(ValueError):  # noqa: N818 - an answer that a part of a file gets, caught by the reader of the whole
    """A part of a file cannot be used. The message is the reason, and is the same for every part with this reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Parts that were left out for one reason.

    Attributes:
        part: What was left out, together with everything inside it.
        reason: Why it was left out; it starts with a field's name if that field is to blame.
        count: How many parts were left out for this reason.
        first: Where the first few are: "line 12, response ab3".
    """

    part: Part
    reason: str
    count: int
    first: tuple[str, ...]


def shown(part_id: object, position: int) -> str:
    """What a part is called in a message: its id if that can be shown, else its position from 1."""
    known = isinstance(part_id, str) and part_id.isprintable() and part_id.strip()
    return f"{part_id}"[:_ID_CHARACTERS_SHOWN] if known else f"number {position}"


class SkipLog:
    """Every part that was left out so far: counts, and the first places of each reason."""

    def __init__(self, places: int = _PLACES_KEPT) -> None:
        self._kept = places
        self._counts: Counter[tuple[Part, str]] = Counter()
        self._places: dict[tuple[Part, str], list[str]] = defaultdict(list)

    def add(self, part: Part, reason: str, place: str) -> None:
        """Note one part that is left out."""
        self._counts[part, reason] += 1
        if len(self._places[part, reason]) < self._kept:
            self._places[part, reason].append(place)

    def count(self, part: Part) -> int:
        """How many parts of this kind were left out."""
        return sum(count for (kind, _), count in self._counts.items() if kind == part)

    def summary(self) -> tuple[Skipped, ...]:
        """One entry per part and reason, the most frequent first."""
        entries = [
            Skipped(part=part, reason=reason, count=count, first=tuple(self._places[part, reason]))
            for (part, reason), count in self._counts.items()
        ]
        return tuple(sorted(entries, key=lambda entry: (-entry.count, entry.part, entry.reason)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in the file, and the log that is told what is left out there."""

    name: str
    log: SkipLog = field(repr=False)

    def at(self, part: Part, part_id: object, position: int) -> "Place":
        """A part inside this one, named by its id if that can be shown, else by its position from 1."""
        return replace(self, name=f"{self.name}, {part} {shown(part_id, position)}")

    def skip(self, part: Part, reason: str) -> None:
        """Note that a part here is left out."""
        self.log.add(part, reason, self.name)
