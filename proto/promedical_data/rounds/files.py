"""Rounds and decisions as JSON lines: a head that says what the file is, then one item or decision a line.

Both are read strictly, since a decision that is lost or misread is a physician's time lost: a line that cannot be used
refuses the file, and the message names it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from promedical.plain_json import read_plain_json
from promedical.rubric import Criterion
from promedical_data.errors import DataError
from promedical_data.files import output_file
from promedical_data.formats.content import content_of
from promedical_data.rounds.round import Decision, Item, Proposed, Reason, Verdict

ROUND: Final = "promedical-rubric-round"
DECISIONS: Final = "promedical-rubric-decisions"

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Head(_Row):
    format: str
    version: Literal[1]
    round: Text
    count: Annotated[int, Field(ge=1)]


class CriterionRow(_Row):
    """A criterion as files of rounds hold it, and forms of it send it."""

    id: Text
    text: Text
    dimension: str
    polarity: str
    weight: float | None = None
    citation: str | None = None
    drafters: tuple[str, ...] = ()

    @classmethod
    def of(cls, proposed: Proposed) -> "CriterionRow":
        """The row of a criterion."""
        return cls(
            id=proposed.criterion.id,
            text=proposed.criterion.text,
            dimension=str(proposed.criterion.dimension),
            polarity=str(proposed.criterion.polarity),
            weight=proposed.criterion.weight,
            citation=proposed.citation,
            drafters=proposed.drafters,
        )

    def proposed(self) -> Proposed:
        """The criterion of the row.

        Raises:
            InvalidField: It is not valid.
        """
        worded: dict[str, Any] = self.model_dump(exclude={"citation", "drafters"})
        return Proposed(criterion=Criterion(**worded), citation=self.citation, drafters=self.drafters)


class _ResponseRow(_Row):
    id: Text
    text: str


class _ItemRow(_Row):
    row: Text
    instruction: Text
    responses: tuple[_ResponseRow, ...]
    criteria: tuple[CriterionRow, ...]
    probability: Annotated[float, Field(gt=0, le=1)]

    @classmethod
    def of(cls, item: Item) -> "_ItemRow":
        return cls(
            row=item.row,
            instruction=item.instruction,
            responses=tuple(_ResponseRow(id=name, text=text) for name, text in item.responses),
            criteria=tuple(map(CriterionRow.of, item.criteria)),
            probability=item.probability,
        )

    def value(self) -> Item:
        return Item(
            row=self.row,
            instruction=self.instruction,
            responses=tuple((each.id, each.text) for each in self.responses),
            criteria=tuple(each.proposed() for each in self.criteria),
            probability=self.probability,
        )


class _DecisionRow(_Row):
    row: Text
    verdict: Verdict
    criteria: tuple[CriterionRow, ...]
    reason: Reason | None
    rater: Text
    at: Text

    @classmethod
    def of(cls, decision: Decision) -> "_DecisionRow":
        return cls(
            row=decision.row,
            verdict=decision.verdict,
            criteria=tuple(map(CriterionRow.of, decision.criteria)),
            reason=decision.reason,
            rater=decision.rater,
            at=decision.at,
        )

    def value(self) -> Decision:
        return Decision(
            row=self.row,
            verdict=self.verdict,
            criteria=tuple(each.proposed() for each in self.criteria),
            reason=self.reason,
            rater=self.rater,
            at=self.at,
        )


Line = TypeVar("Line", _ItemRow, _DecisionRow)
Model = TypeVar("Model", bound=_Row)


def write_round(path: Path, round_id: str, items: Iterable[Item]) -> None:
    """Write a round, whole or not at all; gzipped if the name ends in `.gz`.

    Raises:
        DataError: It cannot be written, or is empty.
    """
    _write(path, ROUND, round_id, [_ItemRow.of(item) for item in items])


def read_round(path: Path) -> tuple[str, list[Item]]:
    """The id and the items of a round.

    Raises:
        DataError: The file is no round, or a line of it cannot be used.
    """
    round_id, rows = _read(path, ROUND, _ItemRow)
    return round_id, [row.value() for row in rows]


def write_decisions(path: Path, round_id: str, decisions: Iterable[Decision]) -> None:
    """Write the decisions of a round, whole or not at all; gzipped if the name ends in `.gz`.

    Raises:
        DataError: They cannot be written, or there are none.
    """
    _write(path, DECISIONS, round_id, [_DecisionRow.of(each) for each in decisions])


def read_decisions(path: Path) -> tuple[str, list[Decision]]:
    """The id of the round, and the decisions about it.

    Raises:
        DataError: The file holds no decisions, or a line of it cannot be used.
    """
    round_id, rows = _read(path, DECISIONS, _DecisionRow)
    return round_id, [row.value() for row in rows]


def _write(path: Path, kind: str, round_id: str, rows: Sequence[_Row]) -> None:
    if not rows:
        raise DataError(f"{path}: there is nothing to write; a {kind} holds at least one line")
    head = _Head(format=kind, version=1, round=round_id, count=len(rows))
    with output_file(path) as stream:
        stream.writelines(f"{each.model_dump_json()}\n" for each in (head, *rows))


def _read(path: Path, kind: str, model: type[Line]) -> tuple[str, list[Line]]:
    content = content_of(path, kind)
    if not content.lines:
        raise DataError(f"{path}: is empty; expected a file of {kind}")
    (first, line), *lines = content.lines
    head = _parsed(f"{path}:{first}", line, _Head)
    if head.format != kind:
        raise DataError(f"{path}: is a {head.format}; expected a {kind}")
    found: dict[str, Line] = {}
    for number, line in lines:
        row = _parsed(f"{path}:{number}", line, model)
        if row.row in found:
            raise DataError(f"{path}:{number}: row {row.row} stands in this file twice; keep one of them")
        found[row.row] = row
    if len(found) != head.count:
        raise DataError(f"{path}: holds {len(found)} of {head.count} lines; it was cut off, so get it again")
    return head.round, list(found.values())


def _parsed(where: str, line: bytes, model: type[Model]) -> Model:
    try:
        row = model.model_validate(read_plain_json(line.decode()))
        if isinstance(row, _ItemRow | _DecisionRow):
            row.value()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, problem["loc"]))
        raise DataError(f"{where}: {field}: {problem['msg']}; correct this line, and read the file again") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {error}; correct this line, and read the file again") from None
    return row
