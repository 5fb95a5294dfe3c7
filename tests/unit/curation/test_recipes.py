"""Recipes: what the built-in ones say, and what a wrong one makes them answer."""

from pathlib import Path

import pytest

from promedical_curation.errors import CurationError
from promedical_curation.recipes.recipe import STAGES
from promedical_curation.recipes.recipe_files import built_in_recipes, folder_of, read_recipe, recipe_of, tree_of


def test_preference_50k_has_the_papers_numbers():
    recipe = read_recipe("preference-50k")

    assert len({each.source for each in recipe.sources}) == 9
    assert recipe.difficulty.keep == "5-9"
    assert (recipe.review.size, recipe.review.target) == (500, 0.964)
    assert (recipe.take, recipe.until) == (None, "pairs")


@pytest.mark.parametrize("name", ["preference-50k", "preference-demo"])
def test_built_in_recipe_reads_back_as_it_was_written(name):
    recipe = read_recipe(name)

    assert name in built_in_recipes()
    assert recipe_of(tree_of(recipe), "here") == recipe


def test_demo_takes_all_questions_through_what_asks_no_model_and_a_part_beyond():
    recipe = read_recipe("preference-demo")

    assert all(each.sample for each in recipe.sources)
    assert recipe.take is not None
    assert STAGES.index("decontamination") < STAGES.index("take") < STAGES.index("difficulty")


def test_changes_of_a_recipe_hold_and_leave_the_rest():
    changes = ["difficulty.keep=2-4", "dedup=null", "prompts.judging=Is it so?", "take=7"]

    recipe = read_recipe("preference-demo", changes)

    assert (recipe.difficulty.keep, recipe.dedup, recipe.prompts.judging, recipe.take) == ("2-4", None, "Is it so?", 7)
    assert recipe.sources == read_recipe("preference-demo").sources


def test_paths_are_relative_to_the_recipes_folder_and_for_built_in_ones_to_the_current():
    assert folder_of("/somewhere/mine.yaml") == Path("/somewhere")
    assert folder_of("preference-50k") == Path()


WRONG = {
    "setting that is misspelt": ("nam: x", "nam is no setting of a recipe; did you mean name?"),
    "section that is misspelt": ("name: x\ndedupe: {}", "dedupe is no setting of a recipe; did you mean dedup?"),
    "setting in a section": (
        "name: x\nreview: {sise: 3}",
        "review.sise is no setting of a recipe; did you mean size?; there are size, target",
    ),
    "setting in a list": (
        "name: x\nsources: [{source: medqa, path: a}, {source: medqa, pathh: b}]",
        "sources.1.pathh is no setting of a recipe; did you mean path?",
    ),
    "setting in a list of a section": (
        "name: x\ndecontamination: {benchmarks: [{name: a, path: b, column: c}]}",
        "decontamination.benchmarks.0.column is no setting of a recipe; did you mean columns?",
    ),
    "setting like no other": ("name: x\nzzz: 1", "zzz is no setting of a recipe; there are name"),
    "text for a number": ("name: x\nreview: {size: many}", "review.size: Input should be a valid integer"),
    "number for text": ("name: 5", "name: Input should be a valid string"),
    "list for a section": ("name: x\nreview: [1]", "review: Input should be"),
    "yes for a number": ("name: x\ntake: yes", "take: Input should be a valid integer"),
    "share above one": ("name: x\nreview: {target: 96.4}", "review: target is 96.4: expected more than 0 and less"),
    "size of none": ("name: x\nreview: {size: 0}", "review: size is 0: expected at least 1"),
    "certainty below a half": ("name: x\nlabels: {least: 0.2}", "labels: least is 0.2: expected 0.5 to 1"),
    "number that is none": ("name: x\nlabels: {least: .nan}", "Out of range float values"),
    "stage that is none": ("name: x\nuntil: pair", "until is 'pair': expected one of sources, screens"),
    "source without a path": ("name: x\nsources: [{source: medqa}]", "source medqa: expected path, or sample: true"),
    "dimension that is none": ("name: x\ndrafting: {dimensions: [harm]}", "drafting.dimensions.0: Input should be"),
    "drafts without proficiency": ("name: x\ndrafting: {dimensions: [safety]}", "dimensions lacks proficiency"),
    "no benchmark": ("name: x\ndecontamination: {benchmarks: []}", "benchmarks is empty: name a test, or set"),
    "two prompts": (
        "name: x\nprompts: {judging: a}\nprompt_files: {judging: b}",
        "prompts.judging and prompt_files.judging are both given",
    ),
    "key twice": ("name: x\nname: y", "name stands twice, the second time in line 2"),
    "no YAML": ("name: [", "is not YAML"),
    "no mapping": ("- name", "expected a mapping of settings"),
    "nothing": ("", "expected a mapping of settings"),
    "key that is a date": ("name: x\n2026-01-01: y", "correct it"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_recipe_is_answered_by_what_was_expected(tmp_path, case):
    text, message = WRONG[case]
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    with pytest.raises(CurationError) as refused:
        read_recipe(str(path))

    assert str(refused.value).startswith(f"recipe {path}: ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("preference-dem", [], "or one of preference-50k, preference-demo; did you mean preference-demo?"),
        ("absent.yaml", [], "recipe absent.yaml: cannot be read"),
        ("preference-demo", ["take"], "--set take: expected NAME=VALUE, such as difficulty.keep=6-9"),
        ("preference-demo", ["take.two=2"], "--set take.two=2: take is not a section"),
        ("preference-demo", ["reviw.size=2"], "reviw is no setting of a recipe; did you mean review?"),
        ("preference-demo", ["take=[1"], "--set take=[1: [1 is not YAML"),
    ],
    ids=["name", "file", "no value", "no section", "unknown", "no YAML"],
)
def test_wrong_name_or_change_is_answered_by_what_was_expected(name, changes, message):
    with pytest.raises(CurationError) as refused:
        read_recipe(name, changes)
    assert message in str(refused.value)


def test_recipe_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff")
    with pytest.raises(CurationError, match="is not UTF-8"):
        read_recipe(str(path))
