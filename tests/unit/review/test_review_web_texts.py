"""The texts of the interface: every one that a page or a script asks for is there, in every language."""

import re
from pathlib import Path
from string import Formatter

import pytest

import promedical_review.web
from promedical.rubric import Criterion, Dimension
from promedical_data.measures.agreement import TITLES
from promedical_data.rounds.round import REASONS, Proposed
from promedical_data.rubric_lint import EXPLANATIONS
from promedical_review.bench_items.items import REASONS as DIFFERENCES
from promedical_review.bench_items.items import VERDICTS
from promedical_review.errors import IdentityError
from promedical_review.people.roles import ROLES
from promedical_review.web.advice import advice
from promedical_review.web.changes import changes
from promedical_review.web.languages import LANGUAGES, Texts, catalog, language_of

WEB = Path(promedical_review.web.__file__).parent
FAMILIES = {
    "role_": (*ROLES, "judge"),
    "identity_": tuple(IdentityError.KINDS),
    "reason_": REASONS,
    "differed_": DIFFERENCES,
    "verdict_": VERDICTS,
    "lint_": EXPLANATIONS,
    "dimension_": tuple(Dimension),
    "state_": ("drafted", "open", "closed"),
    "measure_": TITLES,
}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def asked_for() -> set[str]:
    sources = [path.read_text(encoding="utf-8") for end in ("py", "j2") for path in WEB.rglob(f"*.{end}")]
    return {key for source in sources for key in re.findall(r"""\bt\(\s*["']([a-z_.0-9]+)["']\s*[,)]""", source)}


def test_languages_have_the_same_texts_with_the_same_places():
    english = catalog("en")
    for language in LANGUAGES:
        assert catalog(language).keys() == english.keys()
        assert {key: places(text) for key, text in catalog(language).items()} == {
            key: places(text) for key, text in english.items()
        }


def test_every_text_that_a_page_asks_for_is_there():
    assert len(asked_for()) > 100
    assert asked_for() - catalog("en").keys() == set()


def test_every_text_that_a_script_asks_for_is_there():
    scripts = "".join(path.read_text(encoding="utf-8") for path in (WEB / "static").glob("*.js"))
    asked = {key for key in re.findall(r'"(js\.\w+)"', scripts) if key != "js.net_"}
    assert len(asked) > 10
    assert asked - catalog("en").keys() == set()


@pytest.mark.parametrize("beginning", FAMILIES)
def test_every_word_of_the_app_has_its_text(beginning):
    assert {f"{beginning}{word}" for word in FAMILIES[beginning]} <= catalog("en").keys()


def test_no_text_is_left_over():
    used = asked_for() | {f"{beginning}{word}" for beginning, words in FAMILIES.items() for word in words}
    sources = "".join(
        path.read_text(encoding="utf-8") for path in WEB.rglob("*") if path.suffix in {".py", ".j2", ".js"}
    )
    built = ("js.net_", "js.kept_", "help_", "error_", "by_", "kind_", "turn_", "about_", "items_", "share_", "key_")
    left = {key for key in catalog("en").keys() - used if not key.startswith(built) and f'"{key}"' not in sources}
    assert left == set()


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "de,fr;q=0.5", "en"),
        (None, "de, zh-TW;q=0.8", "zh"),
        ("zh", "en", "zh"),
        ("xx", "en", "en"),
    ],
)
def test_language_is_the_chosen_one_else_one_that_the_browser_accepts(chosen, accepted, language):
    assert language_of(chosen, accepted) == language


def proposed(name: str, text: str, dimension: str = "proficiency", **values) -> Proposed:
    citation = values.pop("citation", None)
    return Proposed(criterion=Criterion(id=name, text=text, dimension=dimension, **values), citation=citation)


BEFORE = [
    proposed("a", "States the dose."),
    proposed("b", "Names a risk.", "excellence"),
    proposed("c", "Blames.", "safety"),
]


def said(after) -> list[str]:
    found = changes(BEFORE, after, Texts("en"))
    return [" ".join(f"{each.mark or ''}<{each.text.strip()}>" for each in change) for change in found]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, []),
        ([BEFORE[1], BEFORE[0], BEFORE[2]], ["<Reordered:>"]),
        (BEFORE[:2], ["<Deleted:> del<Blames.>"]),
        ([*BEFORE, proposed("d", "New.")], ["<Added:> ins<New.>"]),
        (
            [proposed("a", "States the daily dose."), *BEFORE[1:]],
            ["<Reworded:> <States the> ins<daily> <dose.>"],
        ),
        (
            [BEFORE[0], proposed("b", "Names a risk.", "proficiency"), BEFORE[2]],
            ["<Moved:> del<Excellence bonus> ins<Main proficiency> <Names a risk.>"],
        ),
        ([proposed("a", "States the dose.", weight=3), *BEFORE[1:]], ["<Weight:> del<1> ins<3> <States the dose.>"]),
        (
            [proposed("a", "States the dose.", citation="BNF"), *BEFORE[1:]],
            ["<Citation:> del<(empty)> ins<BNF> <States the dose.>"],
        ),
    ],
    ids=["none", "reordered", "deleted", "added", "reworded", "moved", "weight", "citation"],
)
def test_changes_name_what_an_edit_did(after, expected):
    assert said(after) == expected


def test_advice_passes_over_what_is_no_criterion_yet():
    rows = [{"id": "a", "text": " ", "dimension": "proficiency", "polarity": "positive"}, {"id": "b", "text": 3}, {}]
    found = advice(rows, BEFORE, Texts("en"))
    assert [each["criterion"] for each in found["findings"]] == ["a", None]
