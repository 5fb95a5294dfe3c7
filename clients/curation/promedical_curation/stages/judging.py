"""Verdicts of several judges on every criterion of every candidate: one call for each, the criterion last.

What comes before the criterion is the same for all criteria of a candidate, so a server with a prefix cache reads it
once. A verdict needs evidence: "met" on a passage that the answer does not hold counts as one that could not assess.
"""

from collections.abc import Iterator, Mapping, Sequence
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
FINAL: Final = "final_verdicts"
MAX_TOKENS: Final = 256
MOST_CHARACTERS: Final = 300
_MET: Final = {"met": True, "not_met": False, "cannot_assess": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Verdicts that stand already: criteria of the same words are not judged again.

    Attributes:
        rubric: The stage whose notes hold their criteria.
        verdicts: The stage whose notes hold the votes.
    """

    rubric: str
    verdicts: str

    def known(self, row: Row) -> Mapping[str, str]:
        """The ids of the criteria that were judged, by their words."""
        return {each["text"]: each["id"] for each in row.notes[self.rubric]["criteria"]}

    def votes(self, row: Row, criteria: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The votes on criteria whose words have not changed, under the ids that they have now."""
        known = self.known(row)
        now = {known[each["text"]]: each["id"] for each in criteria if each["text"] in known}
        votes = row.notes[self.verdicts]["votes"]
        return [{**vote, "criterion": now[vote["criterion"]]} for vote in votes if vote["criterion"] in now]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """Asks every judge about every criterion of every candidate.

    Attributes:
        endpoints: The judges.
        prompt: What they are told.
        rubric: The stage whose notes hold the criteria.
        name: The name of this stage, since criteria are judged again when physicians have changed them.
        earlier: What was judged before; None if nothing was.
        max_tokens: The most tokens of a verdict.
        most_characters: The most characters of its evidence.
    """

    endpoints: tuple[Endpoint, ...]
    prompt: Prompt
    rubric: str
    name: str = NAME
    earlier: Earlier | None = None
    max_tokens: int = MAX_TOKENS
    most_characters: int = MOST_CHARACTERS

    @property
    def stage(self) -> RowStage:
        """As a stage of a run."""
        return RowStage(
            name=self.name,
            config={
                "prompt": self.prompt.text,
                "schema": self._schema,
                "max_tokens": self.max_tokens,
                "rubric": self.rubric,
            },
            code=(evidence,),
            endpoints=self.endpoints,
            ask=self.ask,
            decide=self.decide,
            takes_unanswered=True,
        )

    def ask(self, row: Row) -> Sequence[Request]:
        """One request for each judge, candidate and criterion that was not judged before."""
        return [
            judge.request(
                {"role": "system", "content": self.prompt.text},
                {"role": "user", "content": _asked(row.instruction, response["text"], criterion["text"])},
                prompt_version=self.prompt.version,
                max_tokens=self.max_tokens,
                schema=self._schema,
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
        before = [] if self.earlier is None else self.earlier.votes(row, row.notes[self.rubric]["criteria"])
        return row.noted(self.name, {"votes": [*before, *votes], "unanswered": len(replies) - len(votes)})

    def _asked_about(self, row: Row) -> Iterator[tuple[Endpoint, dict[str, Any], dict[str, Any]]]:
        known = {} if self.earlier is None else self.earlier.known(row)
        for judge in self.endpoints:
            for response in row.notes[candidates.NAME]["responses"]:
                for criterion in row.notes[self.rubric]["criteria"]:
                    if criterion["text"] not in known:
                        yield judge, response, criterion

    @property
    def _schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "evidence": {"type": "string", "maxLength": self.most_characters},
                "verdict": {"type": "string", "enum": list(_MET)},
            },
            "required": ["evidence", "verdict"],
            "additionalProperties": False,
        }


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
