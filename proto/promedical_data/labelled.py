"""Criterion-labelled data in memory: a prompt, its criteria, its responses, and what raters said. Pure.

`met` is literal everywhere: the criterion holds as worded, whatever its polarity. Polarity matters only where
good is told from bad.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from promedical.messages import Message
from promedical.rubric import Criterion


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What raters said about one response and one criterion.

    Attributes:
        met: The verdict that training and evaluation use.
        kind: Who rated: "llm", "physician", or another word of the file.
        votes: One vote per rater if the file has them, else the verdict alone.
    """

    met: bool
    kind: str
    votes: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledResponse:
    """An answer and its labels by criterion id; criteria without a label are absent."""

    id: str
    text: str
    labels: Mapping[str, Label] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Which of two responses (ids) meets a criterion (id) as worded, or meets it more, without absolute labels."""

    criterion: str
    winner: str
    loser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPrompt:
    """A conversation with its own criteria and the responses that were judged by them."""

    id: str
    source: str
    turns: tuple[Message, ...]
    criteria: tuple[Criterion, ...]
    responses: tuple[LabelledResponse, ...]
    preferences: tuple[Preference, ...] = ()

    def with_responses(self, responses: tuple[LabelledResponse, ...]) -> "LabelledPrompt":
        """The same prompt with only these responses, and the preferences between them."""
        ids = {each.id for each in responses}
        preferences = tuple(each for each in self.preferences if {each.winner, each.loser} <= ids)
        return replace(self, responses=responses, preferences=preferences)

    def without_criteria(self, ids: Collection[str]) -> "LabelledPrompt":
        """The same prompt without these criteria, their labels and their preferences."""
        return replace(
            self,
            criteria=tuple(each for each in self.criteria if each.id not in ids),
            responses=tuple(
                replace(each, labels={name: label for name, label in each.labels.items() if name not in ids})
                for each in self.responses
            ),
            preferences=tuple(each for each in self.preferences if each.criterion not in ids),
        )

    @property
    def criterion_by_id(self) -> dict[str, Criterion]:
        """Criteria by their ids."""
        return {criterion.id: criterion for criterion in self.criteria}
