"""Command lines that users might type, drawn from the options that each command declares, and what comes of them.

A program runs through its real entry point, in this process: thousands of examples are cheap.
"""

import contextlib
import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, get_args, get_origin
from unittest import mock

import typer

from fuzzed_inputs import DEVICES, ENDINGS, JUNK_FILES, NO_FILES, Given

Value = Callable[[Random], str | Given]
"""Draws a value."""
MOSTLY: Final = 0.97
SOMETIMES: Final = 0.12
ALWAYS: Final = ("url", "seconds", "warm_up", "database")
"""Options without which a command waits for a server, measures for a minute, or serves until it is told to end."""

WORDS: Final = (
    "", " ", "-", "--", "a", "-1", "0", "1", "1.5", "nan", "inf", "1e999", "9" * 400, "x" * 2000, "none", "null",
    "[bold]", "[/]", "{0}", "%s", "%(x)s", "a=b", "=", "a=", "=b", "a.b=c", "name=1", "\u202e", "\udcff", "\n",
    "caf\u00e9", "\U0001f489", "*", "~nobody", "$HOME", "a,b", "../..", "--help", "--version", "--nothing", "http://", "ftp://nowhere",
    "grpc://", "grpc://[::1", "http://a b", "http://127.0.0.1:99999", "grpc://user:secret@127.0.0.1:1", "sqlite://", "sqlite:///",
    "postgresql://", "mysql://x/y", "auto", "16", "-9" * 30, "0x10", "true", "1_000", "\u0663", "1/minute",
)  # fmt: skip
"""Words for any argument."""
WORD: Final = re.compile(r"[\w:/.@-]{4,}")
CODE: Final = re.compile(r"\b(\d+)(?=: )")


@dataclass(frozen=True)
class Program:
    """One program: its name, its entry point, and its commands by the words that lead to them."""

    name: str
    main: Callable[[], None]
    commands: Mapping[tuple[str, ...], Any]


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: Any
    out: str
    err: str
    trace: str


def typer_program(name: str, app: typer.Typer, main: Callable[[], None]) -> Program:
    """A program of Typer, by what it declares."""
    return Program(name, main, dict(_leaves(typer.main.get_command(app), ())))


def documented_codes(command: Any) -> set[int]:
    """The exit codes that `--help` of a command names; every command may end well, or by bad usage."""
    _, _, said = (command.epilog or "").partition("Exit codes:")
    return {0, 2} | {int(code) for code in CODE.findall(said)}


def command_line(rng: Random, command: Any, fitting: Mapping[str, Value]) -> list[str | Given]:
    """Arguments for one command: what it needs, most of the time, and some of what it takes."""
    words: list[str | Given] = []
    for each in command.params:
        must = each.name in ALWAYS or (each.required and rng.random() < MOSTLY)
        if each.name in ("help", "version") or not (must or rng.random() < SOMETIMES):
            continue
        for _ in range(rng.randint(1, 2) if each.multiple or each.nargs == -1 else 1):
            words += [rng.choice(each.opts)] if each.param_type_name == "option" else []
            words += [] if getattr(each, "is_flag", False) else [_value(rng, each, fitting)]
    return [*words, rng.choice(WORDS)] if rng.random() > MOSTLY else words


def junk_file(rng: Random) -> str | Given:
    """A file that nobody should read, or the name of what is no file."""
    if rng.random() < SOMETIMES:
        return rng.choice([*NO_FILES, *DEVICES])
    return Given(f"junk{rng.choice(ENDINGS)}", rng.choice(list(JUNK_FILES.values())))


def run(program: Program, words: Sequence[str | Given], here: Path) -> Ended:
    """Run a program to its end, in a folder of its own."""
    (here / "folder").mkdir()
    (here / "file").write_bytes(b"x")
    (here / "loop").symlink_to("loop")
    argv = [program.name, *(each.made(here) if isinstance(each, Given) else each for each in words)]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True) for _ in range(2))
    code: Any = 0
    trace = ""
    with _as_a_process(argv, out, err, here):
        try:
            program.main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:  # noqa: BLE001 - what would be a traceback
            code, trace = 1, traceback.format_exc()
    said = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]
    return Ended(code, said[0], said[1], trace)


@contextlib.contextmanager
def _as_a_process(argv: list[str], out: io.TextIOWrapper, err: io.TextIOWrapper, here: Path) -> Any:
    """What is global to a process, as a new one has it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PROMEDICAL_")}
    own |= {"COLUMNS": "300", "PROMEDICAL_CACHE": str(here / "cache"), "PROMEDICAL_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b'{"id": "a"}\n')))
    with (
        contextlib.chdir(here),
        mock.patch.dict(os.environ, own, clear=True),
        mock.patch.multiple(sys, argv=argv, stdin=stdin, stdout=out, stderr=err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def _leaves(command: Any, path: tuple[str, ...]) -> Any:
    inside = getattr(command, "commands", None)
    if inside is None:
        yield path, command
        return
    for name, each in inside.items():
        yield from _leaves(each, (*path, name))


def _value(rng: Random, parameter: Any, fitting: Mapping[str, Value]) -> str | Given:
    """A value for one option: most fit what it is called, or are of its type."""
    usual = fitting.get(parameter.name) or _typed(parameter.bare_type())
    return rng.choice([*[usual] * 10, lambda rng: rng.choice(WORDS), junk_file])(rng)


def _typed(kind: Any) -> Value:
    known: Sequence[str] = WORDS
    kind = (
        next((each for each in get_args(kind) if each is not type(None)), kind)
        if type(None) in get_args(kind)
        else kind
    )
    if get_origin(kind) is Literal:
        known = [str(each) for each in get_args(kind)]
    elif isinstance(kind, type) and issubclass(kind, Enum):
        known = [str(each.value) for each in kind]
    elif kind in (int, float):
        known = ["0", "1", "2", "0.5", "-1", "1e9"]
    return junk_file if kind is Path else lambda rng: rng.choice(known)


def names_one(said: str, command: Any, words: Sequence[str | Given]) -> bool:
    """Whether a message names a value that was given, in a file or beside it, or an option of the command."""
    flat = "".join(said.split())
    given = [each.name if isinstance(each, Given) else each for each in words]
    options = [option for each in command.params for option in (each.name, each.name.upper(), *each.opts)]
    inside = [
        word
        for each in words
        if isinstance(each, Given)
        for word in WORD.findall((each.content or b"").decode("latin-1"))
    ]
    known = ("".join(each.encode("utf-8", "backslashreplace").decode().split()) for each in (*given, *options, *inside))
    return any(each and each in flat for each in known)
