"""Pins: what a caller expects behind a rubric's name, and how a call to a pinned oracle is routed to it. Pure.

A name with its version stands for one meaning for ever, but nothing in a name holds that meaning. The hash does.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from promedical.messages import RubricPin, ScoreItem, UsedRubric
from promedical.rubric import InvalidField

FINGERPRINT_PIN: Final = "promedical-expected-fingerprint"
"""The header, or the metadata over gRPC, by which a gateway sends a pinned request to its oracle."""

_PIN: Final = re.compile(r"(?P<name>[^\s=,]+)=(?P<sha256>[0-9a-f]{64})")
_SENDABLE: Final = re.compile(r"[!-~]{1,128}")


def routed_by(fingerprint: str | None) -> dict[str, str]:
    """The header of a pin on the oracle. What no header can hold is no fingerprint, and the service refuses it."""
    return {FINGERPRINT_PIN: fingerprint} if fingerprint and _SENDABLE.fullmatch(fingerprint) else {}


def named(asked: Iterable[ScoreItem]) -> tuple[str, ...]:
    """The names of rubrics that items give, each once."""
    names = (name for item in asked for name in (item.rubric_id, item.base_rubric_id) if name is not None)
    return tuple(dict.fromkeys(names))


def differing(pins: Iterable[RubricPin], used: Iterable[UsedRubric]) -> str | None:
    """Why the first of these rubrics is not what the pins expect; None if all are, or if there are no pins.

    The pin for a rubric is the one for its name as it was asked for, else that for `id@version`, else that for `id`.
    """
    expected: dict[str, set[str]] = defaultdict(set)
    for pin in pins:
        expected[pin.name].add(pin.sha256)
    for rubric in used if expected else ():
        exact = f"{rubric.id}@{rubric.version}"
        wanted = next((expected[name] for name in (rubric.name, exact, rubric.id) if name in expected), None)
        if wanted is None:
            return f"{exact} is not among them; if it is wanted, pin it too, with its hash here, {rubric.sha256}"
        if wanted != {rubric.sha256}:
            return f"{exact} is another rubric here, with the hash {rubric.sha256}; if the change is wanted, pin it"
    return None


def read_pins(text: str, field: str = "expected_rubrics") -> tuple[RubricPin, ...]:
    """Pins from text, for places that hold one value: `NAME=SHA256`, separated by commas. `field` is for errors.

    Raises:
        InvalidField: It is something else.
    """
    found = [_PIN.fullmatch(part.strip()) for part in text.split(",")]
    if not all(found):
        raise InvalidField(
            field,
            "expected NAME=SHA256, such as general-medical@1=, followed by the 64 hex digits that /v1/rubrics shows; "
            "separate several by commas",
        )
    return tuple(RubricPin(name=each["name"], sha256=each["sha256"]) for each in found if each)


def written(used: Iterable[UsedRubric]) -> str:
    """The rubrics in the form that `read_pins` reads, by their exact names."""
    return ",".join(dict.fromkeys(f"{each.id}@{each.version}={each.sha256}" for each in used))
