"""OpenAI batch files: requests out, answers in. `vllm run-batch` reads and writes the same lines.

`custom_id` is the key of the request, so an answer that came by a batch file and one that came by a call are the same
entry of the store.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, TypeAlias

from promedical.plain_json import read_plain_json
from promedical_curation.asking.answers import Answer, read_completion
from promedical_curation.asking.bodies import PATH, body_of
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.failures import RetriableError
from promedical_curation.asking.prices import Price, price_of
from promedical_curation.asking.requests import Request
from promedical_curation.asking.store import Payer, Store
from promedical_curation.errors import CurationError
from promedical_data.files import whole_file

LINES: Final = 50_000
BYTES: Final = 190_000_000
"""OpenAI takes files of up to 50,000 lines and 200 MB, each for one model."""
_AT_ONCE: Final = 200
_OK: Final = 200

Requests: TypeAlias = Mapping[str, tuple[Endpoint, Request]]
_Entry: TypeAlias = tuple[str, str, Answer]


class BatchWriter:
    """Writes requests to files of one endpoint each, none of them too large.

    Raises:
        CurationError: The folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.files: list[Path] = []
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CurationError(f"{folder}: cannot be made a folder: {error.strerror}; give another --to") from None
        self._open: dict[str, _File] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, endpoint: Endpoint, request: Request) -> None:
        """Write a request."""
        line = line_of(endpoint, request)
        file = self._open.get(endpoint.name)
        if file is None or not file.has_room(line):
            file = self._open[endpoint.name] = self._next(endpoint)
        file.add(line)

    def _next(self, endpoint: Endpoint) -> "_File":
        name = endpoint.name.replace("/", "-")
        number = sum(path.name.startswith(f"{name}.") for path in self.files) + 1
        path = self._folder / f"{name}.{number:03}.jsonl"
        self.files.append(path)
        return _File(self._stack.enter_context(whole_file(path)))


@dataclass(slots=True)
class _File:
    stream: IO[bytes]
    lines: int = 0
    size: int = 0

    def has_room(self, line: bytes) -> bool:
        return self.lines < LINES and self.size + len(line) <= BYTES

    def add(self, line: bytes) -> None:
        self.stream.write(line)
        self.lines += 1
        self.size += len(line)


def line_of(endpoint: Endpoint, request: Request) -> bytes:
    """One line of a batch file, with its end."""
    body = body_of(endpoint, request)
    line = {"custom_id": request.key, "method": "POST", "url": PATH, "body": body}
    return json.dumps(line, allow_nan=False).encode() + b"\n"


@dataclass(slots=True)
class Imported:
    """What a batch file held: new answers, answers that were there already, and lines without one, by reason."""

    kept: int = 0
    known: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Imported") -> "Imported":
        return Imported(self.kept + other.kept, self.known + other.known, self.unanswered + other.unanswered)


def custom_ids(path: Path) -> set[str]:
    """The keys of the requests that a file answers.

    Raises:
        CurationError: A line is no answer of a batch.
    """
    return {_read(line, where)[0] for where, line in _lines(path)}


def read_answers(path: Path, requests: Requests, store: Store, payer: Payer) -> Imported:
    """Keep the answers of a batch file.

    Args:
        path: What OpenAI or vLLM wrote.
        requests: What was asked, by key.
        store: Where to keep the answers.
        payer: Who pays.

    Raises:
        CurationError: A line is no answer, or answers something that was not asked. Lines before it are kept.
    """
    imported, waiting = Imported(), list[_Entry]()
    prices: dict[str, Price | None] = {}
    try:
        for where, line in _lines(path):
            endpoint, request, body = _response(line, where, requests, payer)
            if endpoint.name not in prices:
                prices[endpoint.name] = price_of(endpoint)
            try:
                waiting.append(_entry(endpoint, request, body, prices[endpoint.name]))
            except RetriableError as error:
                imported.unanswered[error.word] += 1
            if len(waiting) >= _AT_ONCE:
                _keep(waiting, store, payer, imported)
    finally:
        _keep(waiting, store, payer, imported)
    return imported


def _entry(endpoint: Endpoint, request: Request, body: Any, price: Price | None) -> _Entry:
    if body is None:
        raise RetriableError("bad_request", "the line holds an error")
    answer = read_completion(body, reasoning_field=endpoint.reasoning_field)
    cost = price(answer.input_tokens, answer.output_tokens) if price else None
    return request.key, request.canonical, replace(answer, cost=cost, at=time.time(), origin="batch")


def _response(line: bytes, where: str, requests: Requests, payer: Payer) -> tuple[Endpoint, Request, Any]:
    """Who was asked what, and the completion; None in its place if the request failed."""
    key, body = _read(line, where)
    if key not in requests:
        raise CurationError(
            f"{where}: custom_id {key[:12]} is no request of stage {payer.stage} as it is now; export again, or use "
            "the prompts and settings of the export"
        )
    return *requests[key], body


def _read(line: bytes, where: str) -> tuple[str, Any]:
    try:
        read = read_plain_json(line.decode())
        key, response = read["custom_id"], read["response"] or {}
        failed = read.get("error") or response.get("status_code", _OK) != _OK
        return key.lower(), None if failed else response.get("body")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CurationError(
            f"{where}: is no answer of a batch: expected JSON with custom_id and response, as OpenAI and vLLM write it"
        ) from None


def _keep(waiting: list[_Entry], store: Store, payer: Payer, imported: Imported) -> None:
    known = store.known([key for key, _, _ in waiting])
    new = {entry[0]: entry for entry in waiting if entry[0] not in known}
    store.keep_all(list(new.values()), payer)
    imported.kept += len(new)
    imported.known += len(waiting) - len(new)
    waiting.clear()


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield f"{path}:{number}", line
    except OSError as error:
        raise CurationError(f"{path}: cannot be read: {error.strerror}; expected a file of a batch") from None
