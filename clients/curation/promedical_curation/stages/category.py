"""What a question is about and what it asks for, by a taxonomy; questions that are not about health are dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import yaml

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.requests import Request
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rows import Drop, Outcome, Row
from promedical_curation.stages.prompt_files import Prompt

NAME: Final = "category"
MAX_TOKENS: Final = 64
OUTSIDE: Final = "not_medical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxonomy:
    """Words for specialties and for kinds of questions, with what each covers."""

    specialties: Mapping[str, str]
    kinds: Mapping[str, str]

    @property
    def schema(self) -> dict[str, Any]:
        """The schema of an answer: one word of each."""
        return {
            "type": "object",
            "properties": {
                "specialty": {"type": "string", "enum": list(self.specialties)},
                "kind": {"type": "string", "enum": list(self.kinds)},
            },
            "required": ["specialty", "kind"],
            "additionalProperties": False,
        }

    @property
    def text(self) -> str:
        """The words for a prompt, one a line."""
        parts = (("Specialties", self.specialties), ("Kinds", self.kinds))
        return "\n\n".join(
            "\n".join((f"{title}:", *(f"- {word}: {covers}" for word, covers in words.items())))
            for title, words in parts
        )


def built_in_taxonomy() -> Taxonomy:
    """The taxonomy that comes with the package."""
    text = (files("promedical_curation") / "stages" / "taxonomy.yaml").read_text(encoding="utf-8")
    return Taxonomy(**yaml.safe_load(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """Sorts questions."""

    endpoint: Endpoint
    prompt: Prompt
    taxonomy: Taxonomy

    @property
    def stage(self) -> RowStage:
        """As a stage of a run."""
        return RowStage(
            name=NAME,
            config={"prompt": self._system, "schema": self.taxonomy.schema, "max_tokens": MAX_TOKENS},
            endpoints=(self.endpoint,),
            ask=self.ask,
            decide=self.decide,
        )

    def ask(self, row: Row) -> Sequence[Request]:
        """One request."""
        request = self.endpoint.request(
            {"role": "system", "content": self._system},
            {"role": "user", "content": row.instruction},
            prompt_version=self.prompt.version,
            max_tokens=MAX_TOKENS,
            schema=self.taxonomy.schema,
            temperature=0,
        )
        return (request,)

    def decide(self, row: Row, answers: Sequence[Answer]) -> Outcome:
        """Note both words, or drop as `not_medical`."""
        note = answers[0].value
        return Drop(row=row, reason=OUTSIDE, note=note) if note["specialty"] == OUTSIDE else row.noted(NAME, note)

    @property
    def _system(self) -> str:
        return f"{self.prompt.text}\n\n{self.taxonomy.text}"
