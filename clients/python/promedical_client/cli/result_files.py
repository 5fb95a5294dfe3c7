"""Outcomes as files, by the ending of the name: JSON lines, JSON, CSV or Parquet. Every one says which oracle judged.

JSON holds one outcome per item; a table has one row per response, or per item that has none.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from promedical import messages as m
from promedical_client.cli.output import OutputError, Write
from promedical_client.jsonl import to_json
from promedical_data.errors import DataError
from promedical_data.files import output_file, whole_file

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS: Final = {
    **dict.fromkeys(("item",), "string"),
    "response": "int64",
    "rank": "int64",
    "reward": "double",
    "expected_reward": "double",
    "vetoed": "bool",
    "proficiency": "double",
    "excellence": "int64",
    "violations": "int64",
    "safety_checked": "bool",
    "truncated": "bool",
    **dict.fromkeys(("error", "message", "rubric", "oracle", "oracle_status", "fingerprint"), "string"),
    "unscored_reward": "double",
    "criteria": "string",
}
"""The columns of a table, with their types in Parquet; CSV holds the criteria as JSON."""

_CRITERION: Final = {
    **dict.fromkeys(("id", "dimension"), "string"),
    **dict.fromkeys(("logit", "probability", "threshold"), "double"),
    **dict.fromkeys(("met", "satisfied"), "bool"),
}
_FOREIGN: Final = frozenset({".xlsx", ".xls", ".ods", ".tsv", ".arrow", ".feather", ".html", ".md", ".txt", ".yaml"})


def oracle_of(info: m.ModelInfo) -> dict[str, str]:
    """What every result says about the oracle."""
    return {"name": info.model.name, "status": info.status, "fingerprint": info.model.fingerprint}


def marked_json(outcome: object, oracle: dict[str, str]) -> str:
    """One line of JSON for an answer, with the oracle in it."""
    return f'{to_json(outcome)[:-1]},"oracle":{json.dumps(oracle)}}}'


def check_name(path: Path) -> None:
    """Refuse a name that promises another kind of file, and Parquet where it cannot be written.

    Raises:
        OutputError: It does.
    """
    if path.suffix.lower() in _FOREIGN:
        raise OutputError(f"{path}: cannot be written as {path.suffix}; expected .jsonl, .json, .csv or .parquet")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401, PLC0415 - the extra `data` has it
        except ModuleNotFoundError:
            raise OutputError(f"{path}: Parquet needs pyarrow; run: pip install 'promedical[data]'") from None


@contextmanager
def outcomes_file(path: Path, oracle: dict[str, str]) -> Iterator[Write]:
    """A file that outcomes are written to, opened before they are there.

    Raises:
        DataError: It cannot be written.
    """
    if path.suffix == ".parquet":
        try:
            with whole_file(path) as binary:
                yield lambda outcomes: _write_parquet(binary, outcomes, oracle)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}") from None
        return
    ending = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    write = {".csv": _write_csv, ".json": _write_array}.get(ending, _write_lines)
    with output_file(path) as stream:
        yield partial(write, stream, oracle)


def _write_lines(stream: Any, oracle: dict[str, str], outcomes: Sequence[m.ItemOutcome]) -> None:
    stream.writelines(f"{marked_json(outcome, oracle)}\n" for outcome in outcomes)


def _write_array(stream: Any, oracle: dict[str, str], outcomes: Sequence[m.ItemOutcome]) -> None:
    stream.write("[" + ",\n".join(marked_json(outcome, oracle) for outcome in outcomes) + "]\n")


def _write_csv(stream: Any, oracle: dict[str, str], outcomes: Sequence[m.ItemOutcome]) -> None:
    writer = csv.DictWriter(stream, _COLUMNS)
    writer.writeheader()
    for row in rows_of(outcomes, oracle):
        writer.writerow({**row, "criteria": json.dumps(row["criteria"]) if row["criteria"] else None})


def _write_parquet(stream: Any, outcomes: Sequence[m.ItemOutcome], oracle: dict[str, str]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - see `check_name`
    from pyarrow import parquet  # noqa: PLC0415

    table = pa.Table.from_pylist(list(rows_of(outcomes, oracle)), schema=_schema())
    parquet.write_table(table, stream)


def _schema() -> "pa.Schema":
    import pyarrow as pa  # noqa: PLC0415 - see `check_name`

    criterion = pa.struct({name: pa.type_for_alias(kind) for name, kind in _CRITERION.items()})
    plain = {name: pa.type_for_alias(kind) for name, kind in _COLUMNS.items()}
    return pa.schema({**plain, "criteria": pa.list_(criterion)})


def rows_of(outcomes: Sequence[m.ItemOutcome], oracle: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The rows of a table."""
    said = {"oracle": oracle["name"], "oracle_status": oracle["status"], "fingerprint": oracle["fingerprint"]}
    for outcome in outcomes:
        if outcome.error is not None:
            yield _row(item=outcome.id, **_error(outcome.error), **said)
        for number, response in enumerate(outcome.result.responses if outcome.result else ()):
            yield _row(item=outcome.id, response=number, **_about(outcome.result, response), **said)


def _row(**known: Any) -> dict[str, Any]:
    return {name: known.get(name) for name in _COLUMNS}


def _about(result: m.ItemResult | None, response: m.ResponseOutcome) -> dict[str, Any]:
    assert result is not None
    scores = {} if response.scores is None else asdict(response.scores)
    if scores:
        scores["criteria"] = [{**each, "dimension": str(each["dimension"])} for each in scores["criteria"]]
    rubric = f"{result.rubric.id}@{result.rubric.version}" if result.rubric.id else result.rubric.sha256
    shared = {"safety_checked": result.safety_checked, "truncated": response.truncated, "rubric": rubric}
    return {**scores, **_error(response.error), **shared}


def _error(error: m.ErrorInfo | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {"error": str(error.code), "message": error.message, "unscored_reward": error.unscored_reward}
