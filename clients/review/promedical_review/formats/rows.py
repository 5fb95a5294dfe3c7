"""What Label Studio's tasks and Argilla's records have in common: a checkpoint as plain values, checked when read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from promedical.conversation import parse_prompt
from promedical.messages import Message, Role
from promedical.plain_json import read_plain_json
from promedical.rubric import Criterion, InvalidField
from promedical_data.errors import DataError
from promedical_data.formats.content import content_of
from promedical_review.bench_items.items import Answer, Verdict
from promedical_review.bench_items.rated import GivenVerdict, RaterKind
from promedical_review.formats.checkpoints import CheckpointRow, Vote

JUDGE_PREFIX: Final = "judge:"
"""Before the names of raters who are models, since the files of other tools do not say."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class Turn(_Row):
    """A message of a conversation. Both tools show a list of them as a dialogue, and no text is parsed for roles."""

    role: Role
    content: str


class Facts(_Row):
    """What a checkpoint is about, as plain values."""

    item: str
    version: int = 1
    category: str = ""
    source: str = ""
    answer_id: str
    model: str = ""
    criterion_id: str
    dimension: str
    polarity: str
    weight: float | None = None
    claim: str | None = None


class Said(_Row):
    """What a rater said, as plain values."""

    rater: str
    verdict: Verdict
    rationale: str = ""
    span: tuple[int, int] | None = Field(default=None)


def facts_of(row: CheckpointRow) -> dict[str, Any]:
    """What a checkpoint is about, as plain values."""
    facts = Facts(
        item=row.item,
        version=row.version,
        category=row.category,
        source=row.source,
        answer_id=row.answer.key,
        model=row.answer.model,
        criterion_id=row.criterion.id,
        dimension=str(row.criterion.dimension),
        polarity=str(row.criterion.polarity),
        weight=row.criterion.weight,
        claim=row.claim,
    )
    return facts.model_dump()


def rater_name(vote: Vote) -> str:
    """The rater's name in a file."""
    return f"{JUDGE_PREFIX}{vote.rater}" if vote.kind == "judge" else vote.rater


def row_of(facts: Facts, prompt: list[Turn], response: str, criterion: str, said: list[Said]) -> CheckpointRow:
    """The checkpoint that these plain values are.

    Raises:
        InvalidField: They are none.
    """
    return CheckpointRow(
        item=facts.item,
        version=facts.version,
        prompt=parse_prompt([Message(role=turn.role, content=turn.content) for turn in prompt]),
        category=facts.category,
        source=facts.source,
        answer=Answer(key=facts.answer_id, text=response, model=facts.model),
        criterion=Criterion(
            id=facts.criterion_id,
            text=criterion,
            dimension=facts.dimension,  # type: ignore[arg-type]  # checked there
            polarity=facts.polarity,  # type: ignore[arg-type]
            weight=facts.weight,
        ),
        claim=facts.claim,
        votes=tuple(map(_vote, said)),
    )


Model = TypeVar("Model", bound=BaseModel)


def entries(path: Path, model: type[Model], expected: str) -> Iterator[tuple[str, Model]]:
    """The entries of a JSON array or of JSON lines, each with its place.

    Raises:
        DataError: The file cannot be read, or an entry is not of this form.
    """
    content = content_of(path, expected)
    try:
        raw = read_plain_json(content.text.decode())
        places = [(f"{path}: entry {number}", each) for number, each in enumerate(_listed(raw), start=1)]
    except (ValueError, RecursionError):
        places = [(f"{path}:{number}", _line(f"{path}:{number}", line)) for number, line in content.lines]
    for place, each in places:
        try:
            yield place, model.model_validate(each)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, problem["loc"]))
            raise DataError(f"{place}: {field}: {problem['msg']}; expected {expected}") from None


def checked_row(place: str, *values: Any) -> CheckpointRow:
    """`row_of`, with the place in the error.

    Raises:
        DataError: The values are no checkpoint.
    """
    try:
        return row_of(*values)
    except InvalidField as error:
        raise DataError(f"{place}: {error}") from None


def _listed(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else [raw]


def _line(place: str, line: bytes) -> Any:
    try:
        return read_plain_json(line.decode())
    except (ValueError, RecursionError):
        raise DataError(f"{place}: is not JSON") from None


def _vote(said: Said) -> Vote:
    kind: RaterKind = "judge" if said.rater.startswith(JUDGE_PREFIX) else "physician"
    given = GivenVerdict(verdict=said.verdict, rationale=said.rationale, span=said.span)
    return Vote(rater=said.rater.removeprefix(JUDGE_PREFIX), kind=kind, given=given)
