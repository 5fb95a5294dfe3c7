"""A newcomer: an empty environment made from this checkout, the commands in it, and a terminal of some width.

Nothing of the checkout or of its own environment helps; what was measured is kept for `make ci-full`.
"""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
MEASURED: Final = ROOT / "dist" / "first-hour.json"
READY_WITHIN_S: Final = 900
ENDED_WITHIN_S: Final = 900
SCRIPTS: Final = {
    name: tuple(place.split(":"))
    for name, place in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "scripts"
    ].items()
}
"""Where each program begins: its module and its function."""
ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Newcomer:
    """Who has the commands of one environment, and works in a folder."""

    bin: Path
    home: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment: that of a login, without anything of ours but where the model is kept."""
        ours = ("PROMEDICAL_", "PYTHON", "VIRTUAL_ENV", "COV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        kept |= {name: os.environ[name] for name in ("PROMEDICAL_CACHE",) if name in os.environ}
        return kept | {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}

    def run(self, *words: str | Path, columns: int = 80, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, and see no traceback."""
        done = subprocess.run(
            [str(word) for word in words], cwd=self.home, env=self.environ | {"COLUMNS": str(columns)} | environ,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ENDED_WITHIN_S, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def started(self, *words: str | Path) -> "subprocess.Popen[str]":
        """Start a command whose messages are read later."""
        return subprocess.Popen(
            [str(word) for word in words], cwd=self.home, env=self.environ, stderr=subprocess.PIPE, text=True
        )

    def write(self, name: str, *rows: Any) -> Path:
        """A file of JSON lines in the folder."""
        path = self.home / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    @contextmanager
    def serving(self, *flags: str) -> "Iterator[Terminal]":
        """`promedical-serve` on a terminal, from ready to Ctrl-C."""
        terminal = Terminal(self, "promedical-serve", *flags)
        try:
            terminal.wait_for("ProMedical is ready")
            yield terminal
        finally:
            terminal.end()


class Terminal:
    """A command on a terminal: what a person sees."""

    def __init__(self, who: Newcomer, *words: str) -> None:
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            words, cwd=who.home, env=who.environ | {"TERM": "xterm", "COLUMNS": "120"},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._ours, self._seen = ours, b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def seen(self) -> str:
        return ESCAPE.sub("", self._seen.decode("utf-8", "replace")).replace("\r", "")

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while words not in self.seen:
            assert self.process.poll() is None, self.seen
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.2)

    def address(self, scheme: str) -> str:
        """The URL that the greeting names."""
        found = re.search(rf"{scheme}://[\d.:]+", self.seen)
        assert found, self.seen
        return found[0]

    def end(self) -> int:
        """Press Ctrl-C, unless it has ended; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(ENDED_WITHIN_S)
        self._reader.join()
        os.close(self._ours)
        return code

    def _read(self) -> None:
        try:
            while piece := os.read(self._ours, 1 << 16):
                self._seen += piece
        except OSError:  # how a terminal ends whose last user has gone
            return


def installed(folder: Path, *extras: str) -> Newcomer:
    """An environment with the checkout's wheel and some extras, as `pip install` makes it; sizes and times are kept."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    wanted = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    constraints = str(ROOT / "constraints.txt")
    began = time.monotonic()
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", wanted],
        cwd=folder, env={**os.environ, "PIP_CONSTRAINT": constraints, "PIP_BUILD_CONSTRAINT": constraints}, check=True,
    )  # fmt: skip
    name = ",".join(extras) or "base"
    measure(**{f"install_{name}_s": round(time.monotonic() - began, 1), f"size_{name}_mb": size_mb(folder / "venv")})
    (folder / "home").mkdir()
    return Newcomer(python.parent, folder / "home")


def size_mb(folder: Path) -> int:
    """What a folder takes on the disk."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) // 10**6


def measure(**values: Any) -> None:
    """Keep what was measured, beside what is there."""
    MEASURED.parent.mkdir(exist_ok=True)
    known = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.is_file() else {}
    MEASURED.write_text(json.dumps(known | values, indent=1) + "\n", encoding="utf-8")


def seconds_of(command: Sequence[str | Path]) -> float:
    """How long a command takes; the best of three."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        took.append(time.monotonic() - began)
    return round(min(took), 3)


def this_environment(folder: Path) -> Newcomer:
    """The code of this checkout in the environment of the tests, to try a replay without installing anything."""
    programs, home = folder / "bin", folder / "home"
    programs.mkdir()
    home.mkdir()
    paths = os.pathsep.join(path for path in sys.path if path.startswith(str(ROOT)))
    begin = f"#!/bin/sh\nPYTHONPATH={paths} exec {sys.executable}"
    lines = {
        name: f"-c \"import sys; sys.argv[0] = '{name}'; from {module} import {main}; sys.exit({main}())\""
        for name, (module, main) in SCRIPTS.items()
    }
    for name, line in ({"python": ""} | lines).items():
        (programs / name).write_text(f'{begin} {line} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    return Newcomer(programs, home)
