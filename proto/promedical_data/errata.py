"""Criteria of published data that are known to have the wrong sign: they reward harm, or punish the right act.

`errata.json` lists them with who reported them, when, and the points as published. They are found by their wording and
their wrong polarity, so that copies of the data under other ids are found too, and corrected data are left alone.
The list has the first three rows of the report. The reporter doubts the fourth and the last; the rows between them were
not at hand, and there may be more errors.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

from promedical.plain_json import read_plain_json
from promedical_data.labelled import LabelledPrompt

ERRATA: Final = "errata"
"""The word for all of them, in the place of a criterion's id."""


def errata_in(prompts: Iterable[LabelledPrompt]) -> tuple[str, ...]:
    """The criteria of these prompts that are known to have the wrong sign, each as PROMPT/CRITERION."""
    return tuple(name for prompt in prompts for name in _found(prompt))


def warning_on(prompts: Iterable[LabelledPrompt], how: str) -> str | None:
    """What a reader must know about the errata in these prompts; None if there are none.

    Args:
        prompts: The prompts.
        how: How to leave them out.
    """
    found = errata_in(prompts)
    if not found:
        return None
    named = ", ".join(found)
    return (
        f"Criteria that are known to have the wrong sign ({_read()['source']}): {named}. They count as they were "
        f"published; {how} leaves them out."
    )


def _found(prompt: LabelledPrompt) -> Iterator[str]:
    wrong = {(each["criterion"], each["polarity"]) for each in _read()["errata"]}
    for criterion in prompt.criteria:
        if (criterion.text.strip(), str(criterion.polarity)) in wrong:
            yield f"{prompt.id}/{criterion.id}"


@cache
def _read() -> Any:
    return read_plain_json((files(__package__) / "errata.json").read_text(encoding="utf-8"))
