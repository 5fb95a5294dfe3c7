"""Rows of the result from pieces: each prompt once. Where several rows may be about one prompt, they are gathered."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from promedical.rubric import InvalidField
from promedical_data.conversion.merging import merged
from promedical_data.conversion.pieces import PROVENANCE, Piece, kept_of, piece_of
from promedical_data.conversion.spool import Spool
from promedical_data.formats.lines import as_object, from_json
from promedical_data.reading import parse_row
from promedical_data.skips import Place, Refusal, SkipLog
from promedical_data.writing import More

Read: TypeAlias = tuple[SkipLog, Iterable[Piece]]
"""What one file gives, and the log of what was left out of it."""


def gathered(read: Sequence[Read], seen: Spool, parts: Spool) -> Iterator[Piece]:
    """Every prompt once: at once if its rows stand alone, at the end if there may be more rows about it.

    Args:
        read: The files. Several files may have rows about the same prompts, whoever published them.
        seen: Keeps the ids of rows that stand alone.
        parts: Keeps the rows that are gathered.
    """
    for number, (_, pieces) in enumerate(read):
        for piece in pieces:
            if piece.merges or len(read) > 1:
                head = json.dumps([number, piece.place.name, piece.file_format])
                parts.add(piece.prompt.id, f"{head}\n{piece.line}")
            elif seen.has(piece.prompt.id):
                piece.place.skip("row", "id: is the same as that of an earlier row")
            else:
                seen.add(piece.prompt.id, "")
                yield piece
    logs = [log for log, _ in read]
    for lines in parts.groups():
        yield from _joined([_piece(line, logs) for line in lines])


def _piece(line: str, logs: Sequence[SkipLog]) -> Piece:
    """A piece that was kept, as it was."""
    head, _, text = line.partition("\n")
    number, name, file_format = json.loads(head)
    row, place = as_object(from_json(text.encode())), Place(name=name, log=logs[number])
    quiet = Place(name=name, log=SkipLog())  # what the row leaves out has been noted
    prompt = parse_row(row, quiet, source="", file_format=file_format, responses_needed=False)
    return Piece(prompt=prompt, file_format=file_format, row=row, line=text, place=place, merges=True)


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    first = pieces[0]
    whole, used = merged([(piece.prompt, piece.place) for piece in pieces])
    if used == [0]:
        yield first
        return
    try:
        yield piece_of(whole, first.file_format, _more([pieces[number] for number in used]), first.place, merges=True)
    except (Refusal, InvalidField) as error:
        for number in used:
            pieces[number].place.skip("row", str(error))


def _more(pieces: Sequence[Piece]) -> More:
    """What the rows keep beside the prompt; where they differ, the first one counts."""
    kept = [kept_of(piece.row) for piece in pieces]
    rows = [row for each in kept for row in each.row[PROVENANCE]["rows"]]
    provenance = {**kept[0].row[PROVENANCE], "rows": list(dict.fromkeys(rows))}
    return More(
        row={**{key: value for each in reversed(kept) for key, value in each.row.items()}, PROVENANCE: provenance},
        criteria={key: value for each in reversed(kept) for key, value in each.criteria.items()},
    )
