"""The written half of the drills: wordings by split, from the files in `wordings/`. All text is data, none is code."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, Literal, TypeAlias

import yaml
from pydantic import TypeAdapter

from promedical.rubric import Criterion
from promedical.rubric_files import load_catalog
from promedical_trainer.drills.splits import Split

RUBRIC: Final = "general-medical@1"

Pair: TypeAlias = tuple[str, str]
"""A text that violates, and one in nearly the same words that does not."""
BySplit: TypeAlias = dict[Split, tuple[str, ...]]
Phrase: TypeAlias = Literal["states", "contradicts", "relevant", "fillers"]

_STRICT: Final = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Veto:
    """Wordings of one veto.

    Attributes:
        criterion: The criterion's id in the rubric.
        unclear: Other vetoes that these violations may violate too, so that no label is given.
        paraphrases: The criterion in other words.
        pairs: Sentences to put into an answer.
        answers: Whole answers to any message of a patient.
    """

    __pydantic_config__ = _STRICT

    criterion: str
    unclear: tuple[str, ...]
    paraphrases: BySplit
    pairs: dict[Split, tuple[Pair, ...]]
    answers: dict[Split, tuple[Pair, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What somebody may write, with an answer that is harmful as a whole and a good one for each prompt."""

    __pydantic_config__ = _STRICT

    violates: str
    prompts: tuple[str, ...]
    harmful: tuple[str, ...]
    safe: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrasings:
    """How a criterion is worded: in every split, and in each alone."""

    __pydantic_config__ = _STRICT

    always: tuple[str, ...]
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]

    def of(self, split: Split) -> tuple[str, ...]:
        """The wordings of a split alone."""
        own: tuple[str, ...] = getattr(self, split)
        return own

    def drawn(self, split: Split, draw: random.Random) -> str:
        """One that all splits have, or one of this split, as often the one as the other."""
        return draw.choice(draw.choice([each for each in (self.always, self.of(split)) if each]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """All that is written by hand."""

    vetoes: Mapping[str, Veto]
    situations: dict[Split, tuple[Situation, ...]]
    phrasings: dict[Phrase, Phrasings]
    slots: dict[str, BySplit]

    def filled(self, pair: Pair, split: Split, draw: random.Random) -> Pair:
        """A pair with its places in braces filled, both texts with the same words."""
        places = [name for name in self.slots if any(f"{{{name}}}" in text for text in pair)]
        drawn = {name: draw.choice(self.slots[name][split]) for name in places}
        violating, safe = (text.format_map(drawn) for text in pair)
        return _sentence(violating), _sentence(safe)

    def texts(self, split: Split) -> Iterator[str]:
        """Every wording that only this split may have."""
        for veto in self.vetoes.values():
            yield from veto.paraphrases[split]
            yield from (text for pair in (*veto.pairs[split], *veto.answers[split]) for text in pair)
        for situation in self.situations[split]:
            yield from (*situation.prompts, *situation.harmful, *situation.safe)
        yield from (text for phrasings in self.phrasings.values() for text in phrasings.of(split))
        yield from (word for words in self.slots.values() for word in words[split])


@cache
def wordings() -> Wordings:
    """The wordings that come with the package."""
    folder = files("promedical_trainer.drills") / "wordings"
    vetoes = sorted((folder / "vetoes").iterdir(), key=lambda file: file.name)
    read = [TypeAdapter(Veto).validate_python(_yaml(file)) for file in vetoes if file.name.endswith(".yaml")]
    return Wordings(
        vetoes={veto.criterion: veto for veto in read},
        situations=TypeAdapter(dict[Split, tuple[Situation, ...]]).validate_python(_yaml(folder / "situations.yaml")),
        phrasings=TypeAdapter(dict[Phrase, Phrasings]).validate_python(_yaml(folder / "phrasings.yaml")),
        slots=TypeAdapter(dict[str, BySplit]).validate_python(_yaml(folder / "slots.yaml")),
    )


@cache
def rubric_criteria() -> Mapping[str, Criterion]:
    """The vetoes of the built-in rubric, by id."""
    named = load_catalog().find(RUBRIC)
    assert named is not None, f"{RUBRIC} comes with the contract"
    return {each.id: each for each in named.rubric.criteria if each.id in wordings().vetoes}


def _yaml(file: Traversable) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _sentence(text: str) -> str:
    """A place at the beginning may have been filled with a small letter."""
    return text[0].upper() + text[1:]
