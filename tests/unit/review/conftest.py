"""Fixtures of the review app's tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from promedical_review.store.database import Database
from reviewing import HandClock, opened


@pytest.fixture(autouse=True)
def same_ids(monkeypatch, request):
    """Ids decide what chance gives to whom: the same ones in every run, so that no test depends on luck.

    Each test draws others, since some share a database.
    """
    drawn = Random(request.node.nodeid)
    seeded = SimpleNamespace(token_hex=lambda size: drawn.randbytes(size).hex())
    monkeypatch.setattr("promedical_review.ids.secrets", seeded)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory) -> Path:
    """An SQLite file with the tables, to be copied: migrations take a while."""
    path = tmp_path_factory.mktemp("review") / "migrated.sqlite"
    opened(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite(migrated, tmp_path) -> Iterator[Database]:
    shutil.copy(migrated, tmp_path / "review.sqlite")
    database = Database(f"sqlite:///{tmp_path}/review.sqlite")
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request) -> Iterator[Database]:
    """A database of each kind, with its tables."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    database = opened(request.getfixturevalue("postgres"))
    yield database
    database.close()
