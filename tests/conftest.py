"""Fixtures and options that every test may use."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from llama import running_llama
from postgres import new_database, running_postgres
from serving import RunningServer, running_server

# The machines that run this are shared: a slow example is no fault of the code.
# CI draws the same examples every time: a red run is a change's fault, new examples are found at desks.
settings.register_profile("promedical", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("promedical")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--snapshot-update", action="store_true", help="write the files under snapshots/ anew instead of comparing"
    )


@pytest.fixture(scope="session")
def fake_server() -> Iterator[RunningServer]:
    """The real service with the fake engine."""
    with running_server("--engine", "fake") as server:
        yield server


@pytest.fixture(scope="session")
def default_server() -> Iterator[RunningServer]:
    """The real service with the real default model on CPU."""
    with running_server("--health-port", "0") as server:
        yield server


@pytest.fixture(scope="session")
def llama() -> Iterator[str]:
    """The address of a real llama.cpp server with SmolLM2-135M."""
    with running_llama() as address:
        yield address


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[int]:
    """The port of a real PostgreSQL."""
    with running_postgres() as port:
        yield port


@pytest.fixture
def postgres(postgres_server: int) -> str:
    """The address of an empty database of its own."""
    return new_database(postgres_server)


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare text with a checked-in file beside the test; `--snapshot-update` writes the file."""
    folder = Path(request.path).parent / "snapshots"

    def check(name: str, text: str) -> None:
        path = folder / name
        if request.config.getoption("--snapshot-update"):
            folder.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), _how_to_update(f"{path} is missing", request)
        expected = path.read_text(encoding="utf-8")
        assert text.splitlines() == expected.splitlines(), _how_to_update(f"{name} is a frozen surface", request)

    return check


def _how_to_update(what: str, request: pytest.FixtureRequest) -> str:
    place = Path(request.path).relative_to(request.config.rootpath)
    return (
        f"{what}. If the change is meant and compatible, run `pytest {place} --snapshot-update`, "
        "review the diff, and say so in CHANGELOG.md."
    )
