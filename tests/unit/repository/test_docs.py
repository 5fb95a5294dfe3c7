"""The documentation as a whole: a short README, no page that nobody finds, references that name everything."""

import re
from pathlib import Path

import pytest

from promedical.v1 import reward_pb2
from scripts.docs import grpc_reference, rest_reference
from scripts.docs.build_site import LOADED, with_moved_links
from scripts.docs.generate_docs import demo_output
from scripts.docs.quality_tables import item_accuracy

REPOSITORY = Path(__file__).resolve().parents[3]
DOCS = REPOSITORY / "docs"
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
README_BYTES = 9_000


def linked_from(page: Path) -> set[Path]:
    return {(page.parent / link).resolve() for link in LINK.findall(page.read_text(encoding="utf-8"))}


def reachable_from(start: Path) -> set[Path]:
    found, waiting = {start}, [start]
    while waiting:
        pages = {page for page in linked_from(waiting.pop()) if page.suffix == ".md" and page.is_relative_to(DOCS)}
        waiting += pages - found
        found |= pages
    return found


def test_readme_is_short():
    assert (REPOSITORY / "README.md").stat().st_size <= README_BYTES


def test_index_leads_to_every_page():
    assert sorted(set(DOCS.rglob("*.md")) - reachable_from(DOCS / "index.md")) == []


def test_readme_leads_to_the_index():
    assert DOCS / "index.md" in linked_from(REPOSITORY / "README.md")


def test_demo_output_is_that_of_the_first_question(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.docs.generate_docs.DEMO", tmp_path / "demo.txt")
    (tmp_path / "demo.txt").write_text("1 of 2: a ──\nrank\n\n2 of 2: b ──\nrank\n")
    assert demo_output() == "```text\n1 of 2: a ──\nrank\n\n...\n```\n"
    (tmp_path / "demo.txt").write_text("1 of 1: a ──\nrank\n")
    assert demo_output() == "```text\n1 of 1: a ──\nrank\n```\n"


def test_accuracy_of_whole_responses_says_how_they_were_ordered():
    assert item_accuracy({"item_accuracy_macro": {}}) == ("item_accuracy_macro", "by verdicts alone")
    assert item_accuracy({"item_accuracy_macro": {}, "ranked_accuracy_macro": {}})[1] == "as ranked"


def test_grpc_reference_has_a_row_with_a_meaning_for_every_part_of_the_contract():
    rows = {each.name: each.rows for each in grpc_reference.declarations()}
    contract = reward_pb2.DESCRIPTOR
    parts = {name: [field.name for field in each.fields] for name, each in contract.message_types_by_name.items()}
    parts |= {name: [value.name for value in each.values] for name, each in contract.enum_types_by_name.items()}
    parts |= {name: [method.name for method in each.methods] for name, each in contract.services_by_name.items()}
    assert {name: [row.split("`")[1] for row in found] for name, found in rows.items()} == parts
    assert [row for found in rows.values() for row in found if row.endswith("|  |")] == []


def test_rest_reference_describes_every_type_that_it_links_to():
    text = rest_reference.rest_endpoints() + rest_reference.rest_schemas()
    sections = {title.lower() for title in re.findall(r"^### (\w+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= sections
    assert "any |" not in rest_reference.rest_endpoints()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array", "items": {"$ref": "#/components/schemas/Message"}}, "list of [Message](#message)"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"enum": ["hard", "soft"], "type": "string"}, "one of `hard`, `soft`"),
        ({}, "any"),
    ],
)
def test_rest_reference_says_types_in_words(schema, words):
    assert rest_reference.kind_of(schema) == words


def test_site_moves_links_with_the_pages_they_lead_to():
    pages = REPOSITORY / "dist" / "pages"
    places = {"docs/a/b.md": pages / "a/b.md", "docs/c.md": pages / "c.md", "helm/x/README.md": pages / "chart.md"}
    text = "[c](../c.md#part) [chart](../../helm/x/README.md) [web](https://example.org) [here](#part) [d](../d.png)"
    moved = "[c](../c.md#part) [chart](../chart.md) [web](https://example.org) [here](#part) [d](../d.png)"
    assert with_moved_links(text, "docs/a/b.md", places) == moved
    assert with_moved_links("[c](../../docs/c.md)", "helm/x/README.md", places) == "[c](c.md)"


@pytest.mark.parametrize(
    ("html", "loads"),
    [
        ('<script src="https://cdn.example/x.js"></script>', True),
        ('<link rel="stylesheet" href="//fonts.example/x.css">', True),
        ("@import url(https://fonts.example/x.css)", True),
        ('<script src="assets/x.js"></script><link rel="icon" href="x.png">', False),
        ('<a href="https://example.org">a link that a reader may follow</a>', False),
    ],
)
def test_site_notices_what_a_page_would_load_from_elsewhere(html, loads):
    assert bool(LOADED.search(html)) is loads
