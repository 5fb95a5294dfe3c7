"""How difficult a question is, from 0 to 10 with reasons; rows that are too easy or too hard are dropped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.requests import Request
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rows import Drop, Outcome, Row
from promedical_curation.stages.prompt_files import Prompt

NAME: Final = "difficulty"
MAX_TOKENS: Final = 256
EASIEST: Final = 5
HARDEST: Final = 9
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "reasons": {"type": "string", "minLength": 1, "maxLength": 200},
        "difficulty": {"type": "integer", "minimum": 0, "maximum": 10},
    },
    "required": ["reasons", "difficulty"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """Rates questions, and keeps those from `easiest` to `hardest`.

    Raises:
        CurationError: The bounds are not in order, or not from 0 to 10.
    """

    endpoint: Endpoint
    prompt: Prompt
    easiest: int = EASIEST
    hardest: int = HARDEST

    def __post_init__(self) -> None:
        if not 0 <= self.easiest <= self.hardest <= SCHEMA["properties"]["difficulty"]["maximum"]:
            raise CurationError(f"keep {self.easiest}-{self.hardest}: expected two numbers from 0 to 10, such as 5-9")

    @property
    def stage(self) -> RowStage:
        """As a stage of a run."""
        return RowStage(
            name=NAME,
            config={
                "prompt": self.prompt.text,
                "schema": SCHEMA,
                "max_tokens": MAX_TOKENS,
                "keep": f"{self.easiest}-{self.hardest}",
            },
            endpoints=(self.endpoint,),
            ask=self.ask,
            decide=self.decide,
        )

    def ask(self, row: Row) -> Sequence[Request]:
        """One request."""
        request = self.endpoint.request(
            {"role": "system", "content": self.prompt.text},
            {"role": "user", "content": row.instruction},
            prompt_version=self.prompt.version,
            max_tokens=MAX_TOKENS,
            schema=SCHEMA,
            temperature=0,
        )
        return (request,)

    def decide(self, row: Row, answers: Sequence[Answer]) -> Outcome:
        """Keep, or drop as `too_easy` or `too_hard`."""
        rated = answers[0].value
        difficulty = int(rated["difficulty"])  # JSON's 7.0 is a whole number too
        note = {"difficulty": difficulty, "reasons": rated["reasons"]}
        if difficulty < self.easiest:
            return Drop(row=row, reason="too_easy", note=note)
        if difficulty > self.hardest:
            return Drop(row=row, reason="too_hard", note=note)
        return row.noted(NAME, note)


def bounds(keep: str) -> tuple[int, int]:
    """The easiest and the hardest difficulty of `5-9`.

    Raises:
        CurationError: The text is not of this kind.
    """
    found = re.fullmatch(r"(\d{1,2})-(\d{1,2})", keep)
    if found is None:
        raise CurationError(f"difficulty.keep is {keep!r}: expected two whole numbers, such as 5-9")
    return int(found[1]), int(found[2])
