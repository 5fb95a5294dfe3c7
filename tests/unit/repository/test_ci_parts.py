"""Which parts of CI run: those that cover other files than were tested last."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from scripts.ci import full as ci_full
from scripts.ci import parts as ci_parts
from scripts.ci import run_tests
from scripts.ci.parts import PARTS, Part, changed, digest, due

REPOSITORY = Path(__file__).resolve().parents[3]
PART = Part(name="ranks", covers=("code", "notes.md"))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """One with two files that the part covers and one that it does not."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "code").mkdir()
    for name in ("code/a.py", "notes.md", "other.md"):
        (tmp_path / name).write_text("as it was")
    monkeypatch.setattr(ci_parts, "ROOT", tmp_path)
    monkeypatch.setattr(ci_parts, "RESULT", tmp_path / "ci-full.json")
    monkeypatch.setattr(ci_parts, "PARTS", (PART,))
    return tmp_path


def test_every_part_covers_files_that_exist():
    assert all(digest(part) for part in PARTS)


def test_every_part_is_a_marker_or_a_target():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    markers = {line.partition(":")[0] for line in settings["tool"]["pytest"]["ini_options"]["markers"]}
    assert markers == {"alone"} | {part.name for part in PARTS if not part.is_target}
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{part.name}:" in makefile for part in PARTS if part.is_target)


def test_part_is_due_until_it_was_tested(repository):
    assert changed() == [PART]
    (repository / "ci-full.json").write_text(json.dumps({"ranks": {"covers": digest(PART)}}))
    assert changed() == []


@pytest.mark.parametrize("name", ["code/a.py", "code/new.py", "notes.md"])
def test_part_is_due_when_what_it_covers_changes(repository, name):
    before = digest(PART)
    (repository / "other.md").write_text("changed")
    assert digest(PART) == before
    (repository / name).write_text("changed")
    assert digest(PART) != before


def test_part_is_due_when_a_file_goes_or_moves(repository):
    before = digest(PART)
    (repository / "code" / "a.py").rename(repository / "code" / "b.py")
    assert digest(PART) != before


def test_part_whose_pattern_matches_nothing_is_an_error(repository):
    with pytest.raises(ValueError, match="part ranks of CI covers absent, which matches no file"):
        digest(Part(name="ranks", covers=("absent",)))


def test_parts_that_are_not_due_are_left_out(repository):
    assert due("none") == []
    assert due("all") == due("changed") == [PART]
    assert "ranks" not in run_tests.left_out("changed")
    assert "ranks" in run_tests.left_out("none")


def test_ci_full_notes_every_part_that_ci_has_tested_and_keeps_the_other_steps(tmp_path, monkeypatch):
    result = tmp_path / "ci-full.json"
    result.write_text(json.dumps({"soak": {"commit": "old"}, "ranks": {"commit": "old", "covers": "a"}}))
    monkeypatch.setattr(ci_full, "RESULT", result)
    monkeypatch.setattr(ci_parts, "RESULT", result)
    covers = {part.name: f"covers {part.name}" for part in PARTS}

    ci_full.keep({"ranks": {"commit": "new"}}, covers)
    noted = json.loads(result.read_text())
    assert noted == {"ranks": {"commit": "new", "covers": "covers ranks"}, "soak": {"commit": "old"}}

    ci_full.keep({"ci": {"commit": "newer", "date": "today", "machine": "this", "seconds": 9}}, covers)
    noted = json.loads(result.read_text())
    assert {name: noted[name]["covers"] for name in covers} == covers
    assert {noted[name]["commit"] for name in (*covers, "ci")} == {"newer"}
    assert noted["soak"] == {"commit": "old"}
