"""Criteria for a question from several drafters, who see two answers to it and corrected rubrics of like questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from promedical.rubric import Dimension
from promedical_curation.asking.answers import Answer
from promedical_curation.asking.asker import Reply
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.requests import Request, canonical_json, digest
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rows import Failed, Outcome, Row
from promedical_curation.rubrics.pool import Example, Pool
from promedical_curation.stages import candidates, rubric_notes
from promedical_curation.stages.prompt_files import Prompt

NAME: Final = "drafting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafting:
    """Asks every drafter for a rubric.

    Attributes:
        endpoints: The drafters; two unlike models say more than one asked twice.
        prompt: The experts' prompt.
        pool: Corrected rubrics.
        examples: How many of them a drafter sees.
        max_tokens: The most tokens of a draft.
        most_criteria: The most criteria of a draft.
        most_characters: The most characters of a criterion, and of its citation.
        dimensions: The dimensions that a criterion may have.
    """

    endpoints: tuple[Endpoint, ...]
    prompt: Prompt
    pool: Pool
    examples: int = 2
    max_tokens: int = 4096
    most_criteria: int = 16
    most_characters: int = 300
    dimensions: tuple[Dimension, ...] = tuple(Dimension)

    @property
    def stage(self) -> RowStage:
        """As a stage of a run."""
        return RowStage(
            name=NAME,
            config={
                "prompt": self.prompt.text,
                "schema": self._schema,
                "max_tokens": self.max_tokens,
                "examples": self.examples,
                "pool": pool_digest(self.pool),
            },
            code=(rubric_notes,),
            endpoints=self.endpoints,
            ask=self.ask,
            decide=self.decide,
            takes_unanswered=True,
        )

    def ask(self, row: Row) -> Sequence[Request]:
        """The same request to every drafter."""
        turns = [
            turn
            for example in reversed(self.pool.nearest(row.id, row.instruction, self.examples))
            for turn in (
                {"role": "user", "content": _asked(example.instruction, ())},
                {"role": "assistant", "content": canonical_json({"criteria": _shown(example)})},
            )
        ]
        question = {"role": "user", "content": _asked(row.instruction, _two_of(row))}
        return [
            endpoint.request(
                {"role": "system", "content": self.prompt.text},
                *turns,
                question,
                prompt_version=self.prompt.version,
                max_tokens=self.max_tokens,
                schema=self._schema,
                temperature=0,
            )
            for endpoint in self.endpoints
        ]

    def decide(self, row: Row, replies: Sequence[Reply]) -> Outcome:
        """Note every drafter's criteria; a row that no drafter answered fails."""
        drafts: dict[str, Any] = {}
        refused: list[str] = []
        for endpoint, reply in zip(self.endpoints, replies, strict=True):
            if isinstance(reply, Answer):
                found, reasons = rubric_notes.drafted(reply.value, endpoint.name)
                drafts[endpoint.name] = rubric_notes.as_note(found)
                refused += reasons
        if not any(drafts.values()):
            return Failed(row=row, error="no_draft", message=f"none of {len(replies)} drafters gave a criterion")
        return row.noted(NAME, {"drafts": drafts, "refused": sorted(refused)})

    @property
    def _schema(self) -> dict[str, Any]:
        return rubric_notes.schema(self.most_criteria, self.most_characters, self.dimensions)


def pool_digest(pool: Pool) -> str:
    """What drafts depend on, of a pool."""
    return digest(canonical_json([[each.instruction, _shown(each)] for each in pool.examples]))[:12]


def _asked(instruction: str, responses: Sequence[str]) -> str:
    parts = [f"Question:\n{instruction}"]
    parts += [f"Answer {number}:\n{text}" for number, text in enumerate(responses, start=1)]
    return "\n\n".join(parts)


def _two_of(row: Row) -> Sequence[str]:
    """Two candidates, drawn by a hash of the row, so that no model is always the one that is shown."""
    found = row.notes[candidates.NAME]["responses"]
    order = sorted(found, key=lambda each: digest(f"{row.id}/{each['id']}"))
    return [each["text"] for each in order[:2]]


def _shown(example: Example) -> list[dict[str, Any]]:
    """As a drafter would have answered."""
    return [
        {
            "text": each.text,
            "dimension": str(each.dimension),
            "polarity": str(each.polarity),
            "weight": int(each.weight or 1),
            "factual": False,
            "citation": "",
        }
        for each in example.criteria
    ]
