"""The conversion: publishers' rows -> prompts, each once, and a report. Memory does not grow with the files."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from promedical_data.conversion.detection import LOOKED_AT, check_fits, detected
from promedical_data.conversion.gathering import gathered
from promedical_data.conversion.pieces import Origin, Piece, pieces_of
from promedical_data.conversion.report import COUNTED, PLACES, ConversionReport, InputReport
from promedical_data.conversion.rows import Placed, placed_rows
from promedical_data.conversion.spool import Spool, spooled
from promedical_data.errors import DataError
from promedical_data.files import sha256_of
from promedical_data.formats.content import STANDARD_INPUT
from promedical_data.formats.lines import from_json
from promedical_data.publishers.catalog import PUBLISHERS, publisher_named
from promedical_data.publishers.publisher import Publisher, Row, Surroundings
from promedical_data.report import FileFormat
from promedical_data.skips import SkipLog

AUTO: Final = "auto"
"""In the place of a format's name: the file decides."""

_RECORDS: Final = "records.json"
"""The file of records in a folder that Argilla has written."""
_REASONS_NAMED: Final = 3


class Advance(Protocol):
    """Moves a bar."""

    def __call__(self, done: int, total: int | None = None, /) -> None:
        """Say how much is done."""


Progress: TypeAlias = Callable[[str], AbstractContextManager[Advance]]
"""Opens a bar with a title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What is to be converted.

    Attributes:
        inputs: The files, or `-` for standard input; a folder of Argilla counts as its records.
        publisher: The format of all of them, or `AUTO`.
        prompts: The file of the prompts that rows are about, if they do not hold them.
        columns: Which keys of a row hold what, where a publisher leaves that to its users.
        source: The source of rows that name none; the publisher's name if it is None.
        licence: The licence of rows that name none; what the publisher says if it is None.
    """

    inputs: tuple[Path, ...]
    publisher: str = AUTO
    prompts: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    licence: str | None = None


@dataclass(slots=True, kw_only=True)
class _Account:
    """What was read from one file so far."""

    path: Path
    origin: Origin | None = None
    rows: int = 0
    log: SkipLog = field(default_factory=lambda: SkipLog(PLACES))

    def report(self) -> InputReport:
        assert self.origin
        return InputReport(
            path=self.path,
            sha256=None if self.path == STANDARD_INPUT else sha256_of(self.path),
            publisher=self.origin.publisher.name,
            licence=self.origin.licence,
            rows=self.rows,
            left_out=self.log.count("row"),
            skipped=self.log.summary(),
        )


def convert(conversion: Conversion, put: Callable[[Piece], None], output: Path, progress: Progress) -> ConversionReport:
    """Convert files.

    Args:
        conversion: What is to be converted.
        put: Takes the rows of the result.
        output: What the result is called in the report.
        progress: Opens a bar for each file.

    Raises:
        DataError: A file cannot be used, or nothing is left.
    """
    accounts = [_Account(path=_records(path)) for path in conversion.inputs]
    tally: Counter[str] = Counter()
    file_format: FileFormat | None = None
    for piece in _converted(conversion, accounts, progress):
        file_format = _same_format(piece, file_format)
        put(piece)
        tally.update(_counts(piece))
    if file_format is None:
        raise DataError(_nothing_left(accounts))
    reports = tuple(account.report() for account in accounts)
    numbers = {name: tally[name] for name in COUNTED}
    return ConversionReport(inputs=reports, path=output, file_format=file_format, **numbers)


def first_of(conversion: Conversion, progress: Progress) -> Piece:
    """The first row that a conversion would give.

    Raises:
        DataError: A file cannot be used, or there is no such row.
    """
    accounts = [_Account(path=_records(path)) for path in conversion.inputs]
    with closing(_converted(conversion, accounts, progress)) as pieces:
        found = next(pieces, None)
    if found is None:
        raise DataError(_nothing_left(accounts))
    return found


def _converted(
    conversion: Conversion, accounts: Sequence[_Account], progress: Progress
) -> Generator[Piece, None, None]:
    with ExitStack() as stack:
        given = _given(conversion, stack, progress)
        seen, parts = stack.enter_context(spooled()), stack.enter_context(spooled())
        read = [(account.log, _pieces(account, conversion, given, progress)) for account in accounts]
        yield from gathered(read, seen, parts)


def _pieces(account: _Account, conversion: Conversion, given: Spool | None, progress: Progress) -> Iterator[Piece]:
    """What one file gives; the account is kept on the way."""
    path = account.path
    named = None if conversion.publisher == AUTO else publisher_named(conversion.publisher)
    with placed_rows(path, (named,) if named else PUBLISHERS) as (rows, read), progress(f"reading {path.name}") as bar:
        first = list(islice(rows, LOOKED_AT))
        publisher = named or detected(path, first)
        check_fits(path, first, publisher)
        surroundings = _surroundings(path, publisher, conversion, given)
        account.origin = Origin(
            publisher=publisher,
            file=path.name,
            source=conversion.source or publisher.name,
            licence=conversion.licence or publisher.licence,
        )
        total = None if path == STANDARD_INPUT else path.stat().st_size
        counted = _counted(chain(first, rows), account, lambda: bar(read(), total))
        yield from pieces_of(counted, account.origin, surroundings, account.log)


def _counted(rows: Iterable[Placed], account: _Account, moved: Callable[[], None]) -> Iterator[Placed]:
    for row in rows:
        yield row
        account.rows += 1
        moved()


def _surroundings(path: Path, publisher: Publisher, conversion: Conversion, given: Spool | None) -> Surroundings:
    if publisher.prompts and given is None:
        raise DataError(
            f"{path}: rows of {publisher.name} do not hold their criteria; name a file that does with --prompts"
        )
    unknown = sorted(conversion.columns.keys() - publisher.columns.keys())
    if unknown:
        known = f"it has {', '.join(publisher.columns)}" if publisher.columns else "its keys have fixed names"
        raise DataError(f"{path}: format {publisher.name} has no column {unknown[0]!r} to be named; {known}")
    return Surroundings(
        given=lambda key: _row(given, key),
        columns={**publisher.columns, **conversion.columns},
        settings=publisher.beside(path),
    )


def _row(given: Spool | None, key: str) -> Row | None:
    lines = given.lines(key) if given else []
    row = from_json(lines[0].encode()) if lines else None
    return row if isinstance(row, dict) else None


def _given(conversion: Conversion, stack: ExitStack, progress: Progress) -> Spool | None:
    """The rows of the file of prompts, by their ids."""
    if conversion.prompts is None:
        return None
    spool = stack.enter_context(spooled())
    account = _Account(path=conversion.prompts)
    for piece in _pieces(account, Conversion(inputs=(conversion.prompts,)), None, progress):
        if piece.file_format != "criteria":
            raise DataError(f"{conversion.prompts}: holds pairs, which cannot take other responses; give criteria")
        spool.add(piece.prompt.id, piece.line)
    return spool


def _records(path: Path) -> Path:
    return path / _RECORDS if path.is_dir() and (path / _RECORDS).is_file() else path


def _same_format(piece: Piece, before: FileFormat | None) -> FileFormat:
    if before not in {None, piece.file_format}:
        raise DataError(
            f"the files give rows of two formats, {before} and {piece.file_format}; convert them one after the other"
        )
    return piece.file_format


def _counts(piece: Piece) -> dict[str, int]:
    prompt = piece.prompt
    return {
        "prompts": 1,
        "criteria": len(prompt.criteria),
        "responses": len(prompt.responses),
        "labels": sum(len(response.labels) for response in prompt.responses),
        "preferences": len(prompt.preferences),
    }


def _nothing_left(accounts: Iterable[_Account]) -> str:
    """The error for files that hold nothing usable, with the reasons."""
    said = []
    for account in accounts:
        reasons = account.log.summary()[:_REASONS_NAMED]
        why = "; ".join(f"{each.part}: {each.reason} ({each.count}, first {each.first[0]})" for each in reasons)
        said.append(f"{account.path}: holds no row that can be used; {why or 'it is empty'}")
    return "; ".join(said)
