"""Answers to a question from several models, which the rubric will be judged on and pairs are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.asker import Reply
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.requests import Request
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rows import Drop, Outcome, Row
from promedical_curation.stages.prompt_files import Prompt

NAME: Final = "candidates"
LEAST: Final = 2
"""A row needs so many different answers: one alone makes no pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Asks every endpoint for one answer.

    Attributes:
        endpoints: The models; their sampling parameters stand in the endpoint file.
        prompt: What they are told.
        max_tokens: The most tokens of an answer; one that needs more is no candidate.
    """

    endpoints: tuple[Endpoint, ...]
    prompt: Prompt
    max_tokens: int = 1024

    @property
    def stage(self) -> RowStage:
        """As a stage of a run."""
        return RowStage(
            name=NAME,
            config={"prompt": self.prompt.text, "max_tokens": self.max_tokens, "least": LEAST},
            endpoints=self.endpoints,
            ask=self.ask,
            decide=self.decide,
            takes_unanswered=True,
        )

    def ask(self, row: Row) -> Sequence[Request]:
        """A request to every endpoint. Two endpoints of one model give two samples."""
        return [self._request(row, endpoint, number) for number, endpoint in enumerate(self.endpoints)]

    def decide(self, row: Row, replies: Sequence[Reply]) -> Outcome:
        """Note the answers, or drop the row as `few_candidates`. Of equal texts, the first is kept."""
        found: dict[str, dict[str, Any]] = {}
        for endpoint, reply in zip(self.endpoints, replies, strict=True):
            if isinstance(reply, Answer) and reply.text.strip():
                made = {"model": endpoint.model, "parameters": dict(endpoint.parameters), "text": reply.text.strip()}
                found.setdefault(" ".join(reply.text.split()), made)
        missing = sum(not isinstance(reply, Answer) for reply in replies)
        responses = [{"id": f"r{number}", **each} for number, each in enumerate(found.values(), start=1)]
        if len(responses) < LEAST:
            return Drop(row=row, reason="few_candidates", note={"found": len(responses), "unanswered": missing})
        return row.noted(NAME, {"responses": responses, "unanswered": missing})

    def _request(self, row: Row, endpoint: Endpoint, number: int) -> Request:
        before = self.endpoints[:number]
        return endpoint.request(
            {"role": "system", "content": self.prompt.text},
            {"role": "user", "content": row.instruction},
            prompt_version=self.prompt.version,
            max_tokens=self.max_tokens,
            sample=sum((each.model, each.parameters) == (endpoint.model, endpoint.parameters) for each in before),
        )
