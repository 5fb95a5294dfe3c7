"""Verdicts of several judges on every criterion of every candidate: one call for each, the criterion last.

What comes before the criterion is the same for all criteria of a candidate, so a server with a prefix cache reads it
once. A verdict needs evidence: "met" on a passage that the answer does not hold counts as one that could not assess.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.asker import Reply
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.requests import Request
from promedical_curation.labels import evidence
from promedical_curation.labels.consensus import Vote
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rows import Outcome, Row
from promedical_curation.stages import candidates
from promedical_curation.stages.prompt_files import Prompt

NAME: Final = "verdicts"
MAX_TOKENS: Final = 256
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "evidence": {"type": "string", "maxLength": 300},
        "verdict": {"type": "string", "enum": ["met", "not_met", "cannot_assess"]},
    },
    "required": ["evidence", "verdict"],
    "additionalProperties": False,
}
_MET: Final = {"met": True, "not_met": False, "cannot_assess": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """Asks every judge about every criterion of every candidate.

    Attributes:
        endpoints: The judges.
        prompt: What they are told.
        rubric: The stage whose notes hold the criteria.
        name: The name of this stage, since criteria are judged again when physicians have changed them.
    """

    endpoints: tuple[Endpoint, ...]
    prompt: Prompt
    rubric: str
    name: str = NAME

    @property
    def stage(self) -> RowStage:
        """As a stage of a run."""
        return RowStage(
            name=self.name,
            config={"prompt": self.prompt.text, "schema": SCHEMA, "max_tokens": MAX_TOKENS, "rubric": self.rubric},
            code=(evidence,),
            endpoints=self.endpoints,
            ask=self.ask,
            decide=self.decide,
            takes_unanswered=True,
        )

    def ask(self, row: Row) -> Sequence[Request]:
        """One request for each judge, candidate and criterion."""
        return [
            judge.request(
                {"role": "system", "content": self.prompt.text},
                {"role": "user", "content": _asked(row.instruction, response["text"], criterion["text"])},
                prompt_version=self.prompt.version,
                max_tokens=MAX_TOKENS,
                schema=SCHEMA,
                temperature=0,
            )
            for judge, response, criterion in self._asked_about(row)
        ]

    def decide(self, row: Row, replies: Sequence[Reply]) -> Outcome:
        """Note every vote; a call without an answer is no vote."""
        votes = [
            _vote(judge.name, response, criterion["id"], reply.value)
            for (judge, response, criterion), reply in zip(self._asked_about(row), replies, strict=True)
            if isinstance(reply, Answer)
        ]
        return row.noted(self.name, {"votes": votes, "unanswered": len(replies) - len(votes)})

    def _asked_about(self, row: Row) -> Iterator[tuple[Endpoint, dict[str, Any], dict[str, Any]]]:
        for judge in self.endpoints:
            for response in row.notes[candidates.NAME]["responses"]:
                for criterion in row.notes[self.rubric]["criteria"]:
                    yield judge, response, criterion


def label_of(row_id: str, response: str, criterion: str) -> str:
    """The id of a label, from the ids of row, response and criterion."""
    return f"{row_id}/{response}/{criterion}"


def votes_of(row: Row, stage: str = NAME) -> list[Vote]:
    """The votes in a row's notes."""
    return [
        Vote(label=label_of(row.id, each["response"], each["criterion"]), judge=each["judge"], met=each["met"])
        for each in row.notes[stage]["votes"]
    ]


def _vote(judge: str, response: dict[str, Any], criterion: str, answer: dict[str, Any]) -> dict[str, Any]:
    met = _MET[answer["verdict"]]
    quoted = evidence.is_quoted(answer["evidence"], response["text"])
    return {
        "judge": judge,
        "response": response["id"],
        "criterion": criterion,
        "met": None if met and not quoted else met,
        "evidence": answer["evidence"],
        "quoted": quoted,
    }


def _asked(instruction: str, response: str, criterion: str) -> str:
    return f"Question:\n{instruction}\n\nAnswer:\n{response}\n\nStatement about the answer:\n{criterion}"
