"""Snippets of the documentation do what they say: each one is run against a service with the fake engine.

A snippet is a fenced python or bash block right after the line `<!-- run -->`. It says 127.0.0.1:8080 and
127.0.0.1:50051; the real ports are put in. It passes if it exits with 0. Where the line `<!-- answer -->` and another
fenced block follow, that block is what the snippet prints when the default model answers; `make answers` writes it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snippets import ANSWER, Snippet, snippets_in

REPOSITORY = Path(__file__).resolve().parents[2]
NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])")
NUMBERS_MAY_DIFFER = 0.01
"""Another processor may move a logit by a step of its rounding, or by a few."""
ANSWER_WIDTH = 120
TOOLS = ("curl", "grpcurl")
REST_ADDRESS, GRPC_ADDRESS = "127.0.0.1:8080", "127.0.0.1:50051"
TIMEOUT_S = 60


def documented() -> list[Snippet]:
    files = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    names = (file.relative_to(REPOSITORY).as_posix() for file in files)
    return [snippet for name in names for snippet in snippets_in((REPOSITORY / name).read_text("utf-8"), name)]


def at_ports(code: str, *, rest_port: int, grpc_port: int) -> str:
    return code.replace(REST_ADDRESS, f"127.0.0.1:{rest_port}").replace(GRPC_ADDRESS, f"127.0.0.1:{grpc_port}")


def missing_tools(snippet: Snippet) -> list[str]:
    if snippet.language != "bash":
        return []
    words = set(re.findall(r"[\w-]+", snippet.code))
    return [tool for tool in TOOLS if tool in words and shutil.which(tool, path=search_path()) is None]


def search_path() -> str:
    """The commands of this virtual environment first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def run(snippet: Snippet, *, url: str = "") -> subprocess.CompletedProcess[str]:
    command = {"python": [sys.executable, "-c"], "bash": ["bash", "-euo", "pipefail", "-c"]}[snippet.language]
    return subprocess.run(
        [*command, snippet.code],
        cwd=REPOSITORY,
        env=os.environ | {"PATH": search_path(), "PROMEDICAL_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("snippet", documented(), ids=lambda snippet: snippet.place)
def test_documented_snippet_runs(snippet, fake_server):
    if missing := missing_tools(snippet):
        pytest.skip(f"{', '.join(missing)} not installed")
    code = at_ports(snippet.code, rest_port=fake_server.rest_port, grpc_port=fake_server.grpc_port)
    done = run(Snippet(place=snippet.place, language=snippet.language, code=code), url=fake_server.rest_url)
    assert done.returncode == 0, f"{snippet.place}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(
    "snippet", [each for each in documented() if each.printed is not None], ids=lambda snippet: snippet.place
)
def test_documented_answer_is_that_of_the_default_model(snippet, default_server, request):
    if missing := missing_tools(snippet):
        pytest.skip(f"{', '.join(missing)} not installed")
    code = at_ports(snippet.code, rest_port=default_server.rest_port, grpc_port=default_server.grpc_port)
    done = run(Snippet(place=snippet.place, language=snippet.language, code=code))
    assert done.returncode == 0, f"{snippet.place}\n{done.stdout}\n{done.stderr}"
    printed = laid_out(done.stdout)
    if request.config.getoption("--snapshot-update"):
        write_answer(snippet, printed)
    else:
        assert same_answer(snippet.printed, printed), f"{snippet.place}; `make answers` writes this:\n{printed}"


def write_answer(snippet: Snippet, printed: str) -> None:
    path = REPOSITORY / snippet.place.rpartition(":")[0]
    before, code, after = path.read_text(encoding="utf-8").partition(f"{snippet.code}```\n")
    answer = ANSWER.match(after)
    assert answer is not None, f"{snippet.place}: the answer is no longer where it was"
    after = after[: answer.start("printed")] + printed + after[answer.end("printed") :]
    path.write_text(before + code + after, encoding="utf-8")


def laid_out(printed: str) -> str:
    """JSON in lines for readers; other text as it is."""
    if not printed.startswith("{"):
        return printed
    return in_lines(json.loads(printed)) + "\n"


def in_lines(value: Any, indent: str = " ") -> str:
    """A value in one line if it fits, else its parts, as many in a line as fit."""
    short = json.dumps(value)
    if len(indent) + len(short) <= ANSWER_WIDTH or not isinstance(value, dict | list):
        return short
    named = value.items() if isinstance(value, dict) else ((None, part) for part in value)
    lines = [""]
    for name, part in named:
        text = ("" if name is None else f"{json.dumps(name)}: ") + in_lines(part, indent + " ")
        fits = len(f"{indent}{lines[-1]}, {text}") <= ANSWER_WIDTH and "\n" not in lines[-1] + text
        lines[-1:] = [f"{lines[-1]}, {text}" if lines[-1] else text] if fits or not lines[-1] else [lines[-1], text]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + f",\n{indent}".join(lines) + closing


def same_answer(documented: str, printed: str) -> bool:
    """Whether both say the same, with numbers about equal.

    How long it took does not matter, nor where lines break, since that moves with the timings' digits.
    """
    known, new = (" ".join(re.sub(r'"timings_ms": {[^}]*}', "", text).split()) for text in (documented, printed))
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (known, new)]
    return NUMBER.sub("N", known) == NUMBER.sub("N", new) and numbers[1] == pytest.approx(
        numbers[0], abs=NUMBERS_MAY_DIFFER
    )


# The runner itself.

DOCUMENT = """# Title

```python
raise SystemExit("not marked")
```

<!-- run -->
```python
print("one")
```

<!-- run -->

```bash
echo two
```

<!-- run -->
```json
{}
```
"""


def test_runner_finds_marked_python_and_bash_blocks_with_their_place():
    found = snippets_in(DOCUMENT, "README.md")
    assert [(s.place, s.language, s.code) for s in found] == [
        ("README.md:9", "python", 'print("one")\n'),
        ("README.md:15", "bash", "echo two\n"),
    ]


ANSWERED = """<!-- run -->
```bash
echo '{"a": 0.5}'
```

<!-- answer -->
```json
{"a": 0.5}
```
"""


def test_runner_reads_the_answer_that_follows_a_snippet():
    (snippet,) = snippets_in(ANSWERED, "README.md")
    assert snippet.printed == '{"a": 0.5}\n'
    (without,) = snippets_in(ANSWERED.replace("<!-- answer -->", "So it says:"), "README.md")
    assert without.printed is None


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ('reward 0.404 {"timings_ms": {"queue": 9.0}} f1a', True),
        ('reward 0.4 {"timings_ms": {"queue": 9.25}}\n f1a', True),
        ('reward 0.42 {"timings_ms": {"queue": 1.5}} f1a', False),
        ('reward 0.4 {"timings_ms": {"queue": 1.5}} f2a', False),
        ('veto 0.4 {"timings_ms": {"queue": 1.5}} f1a', False),
    ],
)
def test_runner_compares_words_exactly_and_numbers_nearly(printed, same):
    assert same_answer('reward 0.4 {"timings_ms": {"queue": 1.5}} f1a', printed) is same


def test_runner_lays_long_json_out_in_lines_that_say_the_same():
    value = {"items": [{"id": "x" * 70, "n": 1.5}, {"id": "y" * 70, "n": None}], "ok": True}
    text = laid_out(json.dumps(value))
    assert json.loads(text) == value
    assert len(text.splitlines()) == 3
    assert max(map(len, text.splitlines())) <= ANSWER_WIDTH


def test_runner_puts_the_real_ports_in():
    code = "curl http://127.0.0.1:8080/readyz; grpcurl 127.0.0.1:50051 list"
    assert at_ports(code, rest_port=1, grpc_port=2) == "curl http://127.0.0.1:1/readyz; grpcurl 127.0.0.1:2 list"


@pytest.mark.parametrize(("language", "code"), [("python", "raise ValueError"), ("bash", "false | cat; echo done")])
def test_runner_sees_a_snippet_that_fails(language, code):
    assert run(Snippet(place="", language=language, code=code)).returncode != 0


def test_runner_passes_the_url_to_the_snippet():
    code = 'test "$PROMEDICAL_URL" = http://here'
    assert run(Snippet(place="", language="bash", code=code), url="http://here").returncode == 0


def test_runner_names_the_tools_that_a_snippet_lacks(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert missing_tools(Snippet(place="", language="bash", code="grpcurl -plaintext x | cat")) == ["grpcurl"]
    assert missing_tools(Snippet(place="", language="bash", code="curl -s x && grpcurl y")) == list(TOOLS)
    assert missing_tools(Snippet(place="", language="python", code="'curl'")) == []
