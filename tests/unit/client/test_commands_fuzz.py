"""No input of a user ends any command with a traceback: arguments and files of every kind, through the entry points.

CI draws a few examples of each command, the same every time. FUZZ_EXAMPLES=200 draws as many, new ones every time, as
`make first-hour` does.
"""

import io
import os
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from typing import Final
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from fuzzed_commands import WORDS, command_line, documented_codes, names_one, run
from fuzzed_inputs import JUNK_FILES, Given
from fuzzed_world import PROGRAMS, made_with
from promedical_service.__main__ import run as serve
from promedical_service.settings import Settings

LONG: Final = int(os.environ.get("FUZZ_EXAMPLES", "0"))
FEW: Final = 3
TRAINS: Final = {("promedical-train", ("rm",)), ("promedical-train", ("grpo",))}
LOADS_TORCH: Final = pytest.mark.skipif(not LONG, reason="a recipe that is right loads torch; make first-hour draws it")
COMMANDS: Final = [
    pytest.param(program, command, marks=LOADS_TORCH if (program, command) in TRAINS else ())
    for program, each in PROGRAMS.items()
    for command in each.commands
]
RAW: Final = (
    "Traceback (most recent", "Value error,", "errors.pydantic.dev", "[type=", "[Errno", "<class '", " object at 0x",
)  # fmt: skip
"""What Python or a library says to programmers."""
BAD_USAGE: Final = 2
TASK: Final = b'{"id": 1, "data": {"prompt": "q", "answer1": "a", "answer2": "b"}, "annotations": [{"result": -1}]}'

examples = settings(
    max_examples=LONG or FEW, derandomize=not LONG, suppress_health_check=list(HealthCheck), deadline=None
)
randoms = st.integers(0, 2**32).map(Random)


@pytest.fixture(scope="module")
def world(tmp_path_factory, fake_server):
    return made_with(fake_server.rest_url, tmp_path_factory.mktemp("made"))


def name_of(each):
    return each if isinstance(each, str) else "-".join(each)


@pytest.mark.parametrize(("program", "command"), COMMANDS, ids=name_of)
def test_no_input_is_a_traceback(program, command, world):
    declared = PROGRAMS[program].commands[command]
    fitting = world.fitting(program, command)

    @examples
    @given(randoms)
    def fuzz(rng):
        words = command_line(rng, declared, fitting)
        with tempfile.TemporaryDirectory() as folder:
            ended = run(PROGRAMS[program], [*command, *words], Path(folder))
        note(f"{program} {command} {words}\n{ended.err or ended.out}")
        assert not ended.trace, ended.trace
        assert ended.code in documented_codes(declared)
        assert [raw for raw in RAW if raw in ended.err] == []
        assert ended.code != BAD_USAGE or names_one(ended.err, declared, [*command, *words])

    fuzz()


def served(words: list[str], environ: dict[str, str]) -> tuple[int, str]:
    """What `promedical-serve` says up to its start, with its exit code; this process keeps its logs and limits."""
    said = io.StringIO()
    logs, limits = "promedical_service.telemetry.logs.configure_logs", "promedical_service.open_files.raise_open_files"
    with redirect_stderr(said), redirect_stdout(io.StringIO()), mock.patch(logs), mock.patch(limits):
        try:
            code = serve(words, environ, starts)
        except SystemExit as end:
            code = int(end.code or 0)
    return code, said.getvalue()


async def starts(_: Settings) -> int:
    return 0


@settings(parent=examples, max_examples=LONG or 40)
@given(rng=randoms)
def test_no_setting_is_a_traceback(rng, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "settings.yaml"
    file.write_bytes(rng.choice([*JUNK_FILES.values(), b"rest_port: x\n", b"thoughts: [judge]\n", b"1: 2\n"]))
    flags = [f"--{name.replace('_', '-')}" for name in Settings.model_fields]
    words = [word for _ in range(rng.randint(0, 2)) for word in (rng.choice(flags), rng.choice(WORDS))]
    words += rng.choice([[], ["--config", str(file)], ["--check"], ["keys", "new", rng.choice(WORDS)]])
    words = ["keys", "new", rng.choice(WORDS), rng.choice(WORDS)] if rng.random() < 0.1 else words
    variable = f"PROMEDICAL_{rng.choice([*Settings.model_fields, 'nothing']).upper()}"
    code, said = served(words, {variable: rng.choice(WORDS)} if rng.random() < 0.5 else {})
    note(f"{words} {variable}\n{said}")
    assert code in {0, BAD_USAGE}
    assert [raw for raw in RAW if raw in said] == []
    assert code == 0 or said.startswith("promedical-serve: ")


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        ("promedical", ["score", "x", "--limit", "few"], "'--limit': must be a valid integer, not 'few'"),
        ("promedical", ["score", "x", "--format", "xml"], "'--format': 'xml' is not one of 'table', 'jsonl'"),
        ("promedical", ["rubrics", "\udcff"], "rubric_id: holds a lone surrogate"),
        ("promedical", ["rubric", "import", "x", "--to", "y" * 300], "y: File name too long"),
        ("promedical-curate", ["check", "--endpoints", Given("x.yaml", b"day: 2027-13-41\n")], "x.yaml"),
        ("promedical-data", ["check", Given("x.json", TASK)], "annotations: hold no comparison"),
    ],
    ids=["number", "choice", "surrogate", "long", "date", "shape"],
)
def test_what_the_fuzz_once_found_is_one_line(program, words, said, tmp_path):
    ended = run(PROGRAMS[program], words, tmp_path)
    assert (ended.trace, ended.code) == ("", BAD_USAGE)
    assert said in ended.err
