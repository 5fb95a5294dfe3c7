"""Published labels as raters' verdicts: K-QA's three physicians, and labelled data in the criteria format.

K-QA's physicians said of every statement whether an answer contradicts it, says nothing of it or states it. A statement
is two criteria of one claim, as in `promedical_data.publishers.kqa`: that the answer states it, and that it contradicts
it. So their agreement is measured by checkpoint, and by claim with three levels as K-QA's authors did.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from promedical.messages import Message
from promedical.rubric import Criterion
from promedical_data.errors import DataError
from promedical_data.labelled import LabelledPrompt
from promedical_data.publishers.kqa import CATEGORIES, LEVELS, claim_of, criteria_of
from promedical_data.reading import read
from promedical_data.skips import Refusal
from promedical_data.texts import text_id
from promedical_review.bench_items.bodies import Checkpoint
from promedical_review.bench_items.items import Answer, BenchItem, item_of
from promedical_review.bench_items.rated import GivenVerdict, Rated, RatedItem, RaterKind

_VOTES: Final = {"physician 1": "label_0", "physician 2": "label_1", "physician 3": "label_2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    statement: str
    needed: bool
    levels: tuple[str, ...]

    @property
    def name(self) -> str:
        return text_id(self.statement)

    @property
    def criteria(self) -> tuple[Criterion, Criterion]:
        return criteria_of(self.statement, (f"{self.name}-states", f"{self.name}-contradicts"), needed=self.needed)


def kqa(path: Path) -> Rated:
    """K-QA's file of labels, NLI_medical_annotator.csv.

    Raises:
        DataError: It cannot be read, or a row is none of K-QA's.
    """
    claims: dict[tuple[str, str, str], dict[str, _Claim]] = {}
    for question, model, answer, claim in _claims(path):
        claims.setdefault((question, model, answer), {})[claim.name] = claim
    if not claims:
        raise DataError(f"{path}: holds no rows; expected K-QA's NLI_medical_annotator.csv")
    items = [_kqa_item(*key, list(found.values())) for key, found in claims.items()]
    return Rated(raters=dict.fromkeys(_VOTES, "physician"), items=items)


def labelled(path: Path) -> Rated:
    """Labelled data of any format that `promedical_data` reads; votes as raters 1, 2, ... of their kind.

    Labels of kind "physician" are physicians' verdicts, those of any other kind are a model's: judges'.

    Raises:
        DataError: No row of it can be used, or none has labels.
    """
    items = [rated for prompt in read(path).prompts if (rated := _labelled_item(prompt)).verdicts]
    if not items:
        raise DataError(f"{path}: holds no labels; expected responses with labels by criterion id")
    names = {name for rated in items for name in rated.verdicts}
    return Rated(raters={name: _kind(name) for name in sorted(names)}, items=items)


def _claims(path: Path) -> Iterator[tuple[str, str, str, _Claim]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream), start=2):
                yield _kqa_row(row, f"{path}:{number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _kqa_row(row: dict[str, str], where: str) -> tuple[str, str, str, _Claim]:
    try:
        claim = claim_of(row)
    except Refusal as error:
        raise DataError(f"{where}: {error}") from None
    levels = tuple((row.get(column) or "").strip() for column in _VOTES.values())
    if not set(levels) <= set(LEVELS):
        raise DataError(f"{where}: a physician's label is none of {', '.join(LEVELS)}")
    stated = _Claim(statement=claim["claim"], needed=claim["category_x"] == CATEGORIES[0], levels=levels)
    return claim["Question"], claim["llm_x"], claim["answer"], stated


def _kqa_item(question: str, model: str, answer: str, claims: Sequence[_Claim]) -> RatedItem:
    key = f"{model}-{text_id(answer)}"
    item = BenchItem(
        key=f"kqa:{text_id(question)}:{key}",
        prompt=(Message(role="user", content=question),),
        criteria=tuple(criterion for claim in claims for criterion in claim.criteria),
        answers=(Answer(key=key, text=answer, model=model),),
        source="K-QA (MIT), physicians' labels",
        claims={criterion.id: claim.name for claim in claims for criterion in claim.criteria},
    )
    verdicts = {
        rater: {place: given for claim in claims for place, given in _sides(key, claim, claim.levels[number])}
        for number, rater in enumerate(_VOTES)
    }
    return RatedItem(item=item, verdicts=verdicts)


def _sides(answer: str, claim: _Claim, level: str) -> Iterator[tuple[Checkpoint, GivenVerdict]]:
    for criterion, holds in zip(claim.criteria, (LEVELS[2], LEVELS[0]), strict=True):
        yield (answer, criterion.id), GivenVerdict(verdict="met" if level == holds else "not_met")


def _labelled_item(prompt: LabelledPrompt) -> RatedItem:
    verdicts: dict[str, dict[Checkpoint, GivenVerdict]] = {}
    for response in prompt.responses:
        for criterion, label in response.labels.items():
            for number, vote in enumerate(label.votes, start=1):
                given = GivenVerdict(verdict="met" if vote else "not_met")
                verdicts.setdefault(f"{label.kind} {number}", {})[response.id, criterion] = given
    return RatedItem(item=item_of(prompt), verdicts=verdicts)


def _kind(name: str) -> RaterKind:
    return "physician" if name.rsplit(" ", 1)[0] == "physician" else "judge"
