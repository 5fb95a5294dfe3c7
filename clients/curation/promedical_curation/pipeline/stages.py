"""What a stage is: pure functions and the values that they depend on.

There are three kinds. A source gives rows. A row stage decides about one row at a time, from the answers to the
requests that it makes of the row. A table stage sees all rows at once, as deduplication must.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol, TypeAlias

from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.requests import Request, canonical_json, digest
from promedical_curation.rows import Outcome, Row

_SHOWN_CHARACTERS: Final = 60
_DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Rows(Protocol):
    """All rows that come to a stage. They can be read several times, and are never all in memory."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Row]: ...


Beside: TypeAlias = Callable[[Rows, Path], None]
"""Given the rows that a stage kept and its folder, writes what else the stage gives, before the folder appears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where rows come from.

    Attributes:
        name: One word, the same in every run.
        config: All values that the outcomes depend on, as plain JSON: a changed one makes the stage out of date.
        code: Modules that the outcomes depend on, besides that of the function.
        read: Gives the rows, and those that it drops or cannot read.
        beside: Writes further files; None if there are none.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    code: tuple[ModuleType, ...] = ()
    read: Callable[[], Iterable[Outcome]]
    beside: Beside | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStage:
    """Decides about each row by itself.

    Attributes:
        name: One word, the same in every run. Notes on rows stand under it.
        config: All values that the requests and the decision depend on, such as the text of a prompt and thresholds.
        code: Modules that they depend on, besides those of the two functions.
        endpoints: The endpoints that it asks. Their models and parameters are part of the config.
        ask: What to ask about a row; nothing if it needs no model.
        decide: What becomes of the row, given the replies in the order of the requests. Pure: called again with the
            same replies it decides the same, so that a changed parser costs no call.
        takes_unanswered: Whether `decide` is called although some requests have no answer. Otherwise such a row fails.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    code: tuple[ModuleType, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    ask: Callable[[Row], Sequence[Request]]
    decide: Callable[[Row, Sequence[Any]], Outcome]
    takes_unanswered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStage:
    """Decides about all rows at once, with one outcome for each.

    Attributes:
        name: One word, the same in every run.
        config: All values that the outcomes depend on.
        code: Modules that they depend on, besides that of the function.
        decide: The outcomes, in any order.
        beside: Writes further files; None if there are none.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    code: tuple[ModuleType, ...] = ()
    decide: Callable[[Rows], Iterable[Outcome]]
    beside: Beside | None = None


Stage: TypeAlias = Source | RowStage | TableStage


def asks(stage: Stage) -> bool:
    """Whether a stage asks models."""
    return isinstance(stage, RowStage) and bool(stage.endpoints)


def fingerprint(stage: Stage) -> dict[str, str]:
    """What the stage's outcomes depend on besides its input: by name, the digest or the value."""
    parts = {f"config.{name}": _short(value) for name, value in stage.config.items()}
    parts["code"] = _code(stage)
    if isinstance(stage, RowStage):
        for endpoint in stage.endpoints:
            parts[f"model.{endpoint.name}"] = endpoint.model
            if endpoint.parameters:
                parts[f"parameters.{endpoint.name}"] = _short(dict(endpoint.parameters))
    return dict(sorted(parts.items()))


def _code(stage: Stage) -> str:
    """The digest of the modules' code, without comments and docstrings, which decide nothing."""
    functions = [
        value for name in ("read", "ask", "decide", "beside") if (value := getattr(stage, name, None)) is not None
    ]
    modules = {inspect.getmodule(_unwrapped(each)) for each in functions} | set(stage.code)
    return digest("".join(sorted(_module_digest(module) for module in modules if module is not None)))[:12]


def _unwrapped(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function)


@cache
def _module_digest(module: ModuleType) -> str:
    tree = ast.parse(inspect.getsource(module))
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return digest(ast.dump(tree))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= _SHOWN_CHARACTERS and text.isprintable() else f"sha256:{digest(text)[:12]}"
