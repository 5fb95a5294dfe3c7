"""Snippets of the documentation do what they say: each one is run against a service with the fake engine.

A snippet is a fenced python or bash block right after the line `<!-- run -->`. It says 127.0.0.1:8080 and
127.0.0.1:50051; the real ports are put in. It passes if it exits with 0.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SNIPPET = re.compile(r"^<!-- run -->\n\s*^```(?P<language>python|bash)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
TOOLS = ("curl", "grpcurl")
REST_ADDRESS, GRPC_ADDRESS = "127.0.0.1:8080", "127.0.0.1:50051"
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    place: str
    language: str
    code: str


def snippets_in(text: str, name: str) -> list[Snippet]:
    return [
        Snippet(
            place=f"{name}:{text.count(chr(10), 0, match.start('code')) + 1}",
            language=match["language"],
            code=match["code"],
        )
        for match in SNIPPET.finditer(text)
    ]


def documented() -> list[Snippet]:
    files = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    return [snippet for file in files for snippet in snippets_in(file.read_text(encoding="utf-8"), file.name)]


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
