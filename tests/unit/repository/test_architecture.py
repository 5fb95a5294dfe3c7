"""The documents name only what exists."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
DOCUMENTS = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
PATH = re.compile(r"`((?:[\w.@-]+/)+[\w.@-]*|[\w-]+\.(?:md|toml|txt))`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
TOP = {path.name for path in REPOSITORY.iterdir()}
QUOTED = re.compile(r"`[^`\n]+`|```bash.*?```", re.DOTALL)
COMMAND = re.compile(r"\bmake ([a-z][a-z-]*)")


def name_of(document: Path) -> str:
    return document.relative_to(REPOSITORY).as_posix()


def paths_in(text: str) -> set[str]:
    """Paths in backquotes that start in the repository's root; a URL path such as `/v1/rank` does not."""
    return {path for path in PATH.findall(text) if path.split("/")[0] in TOP}


def test_architecture_names_paths_and_all_of_them_exist():
    named = paths_in((REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []


def test_architecture_maps_every_package_that_ships():
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = {path.parent.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("*/**/py.typed")}
    packages = {package for package in packages if not package.startswith(".")}
    assert packages
    assert [package for package in sorted(packages) if f"`{package}/`" not in text] == []


def test_document_links_lead_to_files_that_exist():
    broken = [
        f"{name_of(document)}: {link}"
        for document in DOCUMENTS
        for link in LINK.findall(document.read_text(encoding="utf-8"))
        if not (document.parent / link).exists()
    ]
    assert broken == []


def test_documents_name_only_targets_that_the_makefile_has():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    unknown = [
        f"{name_of(document)}: make {target}"
        for document in DOCUMENTS
        for code in QUOTED.findall(document.read_text(encoding="utf-8"))
        for target in COMMAND.findall(code)
        if target not in targets
    ]
    assert unknown == []


def test_decision_index_lists_every_record_under_its_title():
    folder = REPOSITORY / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(folder.glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        title = record.read_text(encoding="utf-8").splitlines()[0].split(". ", 1)[1]
        assert f"| [{record.name[:4]}]({record.name}) | {title} |" in index


def test_decision_records_have_the_four_parts():
    parts = ["## Context", "## Decision", "## Consequences", "## Alternatives"]
    for record in (REPOSITORY / "docs" / "adr").glob("[0-9]*.md"):
        lines = record.read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if line.startswith("## ")] == parts, record.name
