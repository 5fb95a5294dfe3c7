"""What a recipe says: the stages of a run in their order, each with its settings. Prompts and files by their places.

Every section has defaults, which are the paper's numbers where it gives them. A section that is null is a stage that
the run does not have; only those before the difficulty may be.
"""

from dataclasses import field
from typing import Final, Literal

from pydantic.dataclasses import dataclass

from promedical.rubric import Dimension
from promedical_curation.recipes.question_settings import STRICT, Decontamination, Dedup, Screens, SourceChoice
from promedical_curation.stages import (
    candidates,
    category,
    decontaminating,
    deduplication,
    difficulty,
    drafting,
    gating,
    judging,
    labelling,
    pairing,
    reviewing,
    rubric,
    screens,
    source_files,
    taking,
)  # fmt: skip

STAGES: Final = (
    source_files.NAME, screens.NAME, deduplication.NAME, decontaminating.NAME, taking.NAME, difficulty.NAME,
    category.NAME, candidates.NAME, drafting.NAME, rubric.NAME, judging.NAME, gating.NAME, reviewing.NAME,
    judging.FINAL, labelling.NAME, pairing.NAME,
)  # fmt: skip
"""The names of all stages in their order."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Difficulty:
    """Which questions are kept.

    Attributes:
        keep: The easiest and the hardest, from 0 to 10.
    """

    keep: str = f"{difficulty.EASIEST}-{difficulty.HARDEST}"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Candidates:
    """Answers. How many there are is how many endpoints the role `candidates` has.

    Attributes:
        max_tokens: The most tokens of one.
    """

    max_tokens: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Drafting:
    """Drafts of rubrics.

    Attributes:
        examples: How many corrected rubrics a drafter sees; with 0, corrections change no other rubric.
        max_tokens: The most tokens of a draft.
        most_criteria: The most criteria of a draft.
        most_characters: The most characters of a criterion, and of its citation.
        dimensions: The dimensions that a criterion may have.
    """

    examples: int = 2
    max_tokens: int = 4096
    most_criteria: int = 16
    most_characters: int = 300
    dimensions: tuple[Dimension, ...] = tuple(Dimension)

    def __post_init__(self) -> None:
        if Dimension.PROFICIENCY not in self.dimensions:
            raise ValueError(f"dimensions lacks {Dimension.PROFICIENCY}, which every rubric needs; add it")
        _check_least(self, 0, "examples")
        _check_least(self, 1, "max_tokens", "most_criteria")
        _check_least(self, 20, "most_characters")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Rubric:
    """Drafts to a rubric.

    Attributes:
        same: From which similarity on two drafters say the same.
    """

    same: float = 0.8

    def __post_init__(self) -> None:
        _check_share(self, "same")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Review:
    """Rounds of review by physicians.

    Attributes:
        size: Rubrics in a round.
        target: The strict pass rate whose lower bound ends reviewing, if two rounds in a row reach it.
        level: The level of the interval.
        seed: Another seed draws other rubrics.
    """

    size: int = 500
    target: float = 0.964
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        _check_least(self, 1, "size")
        _check_share(self, "target", "level")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Judging:
    """Who judges candidates by criteria.

    Attributes:
        by: The endpoints with the role `judges`, or ProMedical's own service. Where that is, its key and its TLS files
            stand in the environment, as for `promedical`.
        max_tokens: The most tokens of a judge's verdict.
        most_characters: The most characters of its evidence.
    """

    by: Literal["judges", "service"] = "judges"
    max_tokens: int = judging.MAX_TOKENS
    most_characters: int = judging.MOST_CHARACTERS

    def __post_init__(self) -> None:
        _check_least(self, 1, "max_tokens", "most_characters")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Labels:
    """Which labels are learnt from.

    Attributes:
        least: The probability from which a label is sure.
        uncertain: Whether the others are dropped, or kept the more often the surer they are.
    """

    least: float = 0.8
    uncertain: Literal["drop", "thin"] = "drop"

    def __post_init__(self) -> None:
        if not 0.5 <= self.least <= 1:  # noqa: PLR2004 - even odds
            raise ValueError(f"least is {self.least}: expected 0.5 to 1")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Prompts:
    """Prompts of one's own by what they ask for; null for the package's."""

    difficulty: str | None = None
    category: str | None = None
    candidate: str | None = None
    drafting: str | None = None
    judging: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Recipe:
    """A run.

    Attributes:
        name: What it makes.
        description: In a sentence.
        sources: Where questions come from, unless rows are given by --input.
        screens: What is dropped first; null to drop nothing.
        dedup: What counts as one question; null to keep all.
        decontamination: What tests ask; null if there is none.
        take: How many of the rows that are left go on, drawn by a hash; null for all.
        difficulty: Which are kept.
        candidates: Answers to them.
        drafting: Drafts of rubrics.
        rubric: How drafts become one.
        review: Rounds of review.
        judging: Who judges.
        labels: Which labels are kept.
        prompts: Texts of prompts.
        prompt_files: Files of prompts, relative to the recipe's.
        until: The last stage; all others come before it.
    """

    name: str
    description: str = ""
    sources: tuple[SourceChoice, ...] = ()
    screens: Screens | None = field(default_factory=Screens)
    dedup: Dedup | None = field(default_factory=Dedup)
    decontamination: Decontamination | None = None
    take: int | None = None
    difficulty: Difficulty = field(default_factory=Difficulty)
    candidates: Candidates = field(default_factory=Candidates)
    drafting: Drafting = field(default_factory=Drafting)
    rubric: Rubric = field(default_factory=Rubric)
    review: Review = field(default_factory=Review)
    judging: Judging = field(default_factory=Judging)
    labels: Labels = field(default_factory=Labels)
    prompts: Prompts = field(default_factory=Prompts)
    prompt_files: Prompts = field(default_factory=Prompts)
    until: str = pairing.NAME

    def __post_init__(self) -> None:
        if self.take is not None:
            _check_least(self, 1, "take")
        if self.until not in STAGES:
            raise ValueError(f"until is {self.until!r}: expected one of {', '.join(STAGES)}")
        for name in ("difficulty", "category", "candidate", "drafting", "judging"):
            if getattr(self.prompts, name) is not None and getattr(self.prompt_files, name) is not None:
                raise ValueError(f"prompts.{name} and prompt_files.{name} are both given; leave one of them out")


def _check_least(settings: object, least: int, *names: str) -> None:
    for name in names:
        if getattr(settings, name) < least:
            raise ValueError(f"{name} is {getattr(settings, name)}: expected at least {least}")


def _check_share(settings: object, *names: str) -> None:
    for name in names:
        if not 0 < getattr(settings, name) < 1:
            raise ValueError(f"{name} is {getattr(settings, name)}: expected more than 0 and less than 1")
