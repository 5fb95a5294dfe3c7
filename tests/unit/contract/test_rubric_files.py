"""Rubrics by name: the built-in one, mounted folders, and what a bad file says."""

import json
from typing import Any

import pytest

from promedical import Dimension, Polarity
from promedical.rubric_files import RubricFileError, load_catalog

GOOD: dict[str, Any] = {
    "title": "Cardiology",
    "criteria": [{"id": "a", "text": "Names the drug.", "dimension": "proficiency"}],
}
GOOD_TOML = """
title = "Cardiology in TOML"

[[criteria]]
id = "dose"
text = "Names the dose."
dimension = "proficiency"
weight = 2

[[criteria]]
id = "harm"
text = "Names a harmful dose."
dimension = "safety"
"""


def rubric_with(**criterion: object) -> str:
    return json.dumps(GOOD | {"criteria": [GOOD["criteria"][0] | criterion]})


def without(key: str) -> str:
    return json.dumps(GOOD | {"criteria": [{k: v for k, v in GOOD["criteria"][0].items() if k != key}]})


def test_built_in_general_medical_has_the_three_dimensions_of_the_method():
    rubric = load_catalog().find("general-medical@1").rubric
    assert [len(rubric.of(d)) for d in (Dimension.PROFICIENCY, Dimension.EXCELLENCE, Dimension.SAFETY)] == [4, 5, 6]
    assert {c.polarity for c in rubric.of(Dimension.SAFETY)} == {Polarity.NEGATIVE}
    assert sum(rubric.normalised_weights().values()) == pytest.approx(1.0)


def test_built_in_rubrics_are_those_that_the_package_ships():
    assert load_catalog().names == ("general-medical@1",)
    assert [named.rubric.name for named in load_catalog()] == ["general-medical@1"]


def test_built_in_rubrics_mean_for_ever_what_they_meant():
    """A change of what one says is a new version: add a file, and its hash here; never correct a hash."""
    assert {named.rubric.name: named.sha256 for named in load_catalog()} == {
        "general-medical@1": "3b3c514e9047a94cefb820fb694d43c82141557c4c8a23c220accd89dfca6d65"
    }


def test_hash_is_that_of_the_meaning_and_not_of_the_file(tmp_path):
    (tmp_path / "dose@1.toml").write_text(GOOD_TOML)
    criteria = [
        {"polarity": "negative", "dimension": "safety", "text": "Names a harmful dose.", "id": "harm"},
        {"id": "dose", "text": "Names the dose.", "dimension": "proficiency", "weight": 2.0, "polarity": "positive"},
    ]
    same = json.dumps({"criteria": criteria, "title": "Another title"}, indent=3)
    (tmp_path / "dose@2.json").write_text(same)
    (tmp_path / "dose@3.json").write_text(same.replace("2.0", "3.0"))
    first, second, third = (load_catalog(tmp_path).find(f"dose@{version}").sha256 for version in (1, 2, 3))
    assert first == second != third


def test_find_takes_the_name_with_or_without_version():
    catalog = load_catalog()
    assert catalog.find("general-medical") is catalog.find("general-medical@1")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "@",
        "@1",
        "general-medical@",
        "general-medical@2",
        "General-Medical",
        "general-medical@1.json",
        "../rubrics/general-medical@1",
        "/etc/passwd",
        "..",
        "general-medical@1\x00",
        "rubrics/general-medical",
    ],
)
def test_find_answers_none_for_what_is_no_name_even_if_it_looks_like_a_path(name):
    assert load_catalog().find(name) is None


def test_mounted_json_and_toml_stand_beside_the_built_in_ones(tmp_path):
    (tmp_path / "cardiology@1.json").write_text(json.dumps(GOOD))
    (tmp_path / "cardiology.dose@1.toml").write_text(GOOD_TOML)
    catalog = load_catalog(tmp_path)
    assert catalog.names == ("cardiology@1", "cardiology.dose@1", "general-medical@1")
    found = catalog.find("cardiology.dose")
    assert found.title == "Cardiology in TOML"
    assert [(c.id, c.weight, c.polarity) for c in found.rubric.criteria] == [
        ("dose", 2.0, Polarity.POSITIVE),
        ("harm", None, Polarity.NEGATIVE),
    ]


def test_name_without_version_is_the_newest_by_number_not_by_spelling(tmp_path):
    for version in ("9", "10", "2"):
        (tmp_path / f"cardiology@{version}.json").write_text(json.dumps(GOOD | {"title": version}))
    catalog = load_catalog(tmp_path)
    assert catalog.find("cardiology").title == "10"
    assert catalog.find("cardiology@9").title == "9"
    assert catalog.names[:3] == ("cardiology@2", "cardiology@9", "cardiology@10")


def test_a_mounted_rubric_can_be_a_newer_version_of_a_built_in_one(tmp_path):
    (tmp_path / "general-medical@2.json").write_text(json.dumps(GOOD))
    assert load_catalog(tmp_path).find("general-medical").rubric.version == "2"


def test_other_files_and_folders_in_the_mount_are_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("notes")
    (tmp_path / "..data").mkdir()
    assert load_catalog(tmp_path).names == ("general-medical@1",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read as json"),
        ("{", "cannot be read as json"),
        ("[" * 100_000, "cannot be read as json"),
        ("[]", "title and criteria"),
        ("{}", "title and criteria"),
        (json.dumps({"criteria": GOOD["criteria"]}), "title and criteria"),
        (json.dumps({"title": "x"}), "title and criteria"),
        (json.dumps(GOOD | {"critera": []}), "title and criteria"),
        (json.dumps(GOOD | {"title": ["x"]}), "title"),
        (json.dumps(GOOD | {"criteria": {}}), "criteria"),
        (json.dumps(GOOD | {"criteria": []}), "criteria: is empty"),
        (json.dumps(GOOD | {"criteria": GOOD["criteria"] * 2}), "criteria[1].id"),
        (json.dumps(GOOD | {"criteria": ["accuracy"]}), "criteria[0]"),
        (without("id"), "criteria[0]"),
        (without("text"), "criteria[0]"),
        (without("dimension"), "criteria[0]"),
        (rubric_with(extra=1), "criteria[0]"),
        (rubric_with(id=5), "criteria[0].id"),
        (rubric_with(id=""), "criteria[0].id"),
        (rubric_with(text=None), "criteria[0].text"),
        (rubric_with(text=" "), "criteria[0].text"),
        (rubric_with(dimension="kindness"), "criteria[0]"),
        (rubric_with(dimension=[]), "criteria[0]"),
        (rubric_with(polarity="neutral"), "criteria[0]"),
        (rubric_with(polarity=""), "criteria[0]"),
        (rubric_with(polarity=False), "criteria[0]"),
        (rubric_with(weight=-1), "criteria[0].weight"),
        (rubric_with(weight=float("nan")), "holds NaN or Infinity"),
        (rubric_with(weight=float("inf")), "holds NaN or Infinity"),
        (rubric_with(weight="3"), "criteria[0].weight"),
        (rubric_with(weight=True), "criteria[0].weight"),
        (rubric_with(weight=[]), "criteria[0].weight"),
        (rubric_with(weight=10**400), "criteria[0].weight"),
        (rubric_with(weight=0), "weights are 0"),
        (rubric_with(dimension="excellence", weight=1), "criteria[0].weight"),
        (rubric_with(dimension="safety", polarity="positive"), "criteria[0].polarity"),
    ],
)
def test_bad_json_is_refused_with_the_file_and_the_place(tmp_path, text, says):
    (tmp_path / "cardiology@1.json").write_text(text)
    with pytest.raises(RubricFileError) as caught:
        load_catalog(tmp_path)
    assert str(caught.value).startswith("cardiology@1.json: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title =", "cannot be read as toml"),
        ('title = "x"\ncriteria = 3', "criteria"),
        ('title = "x"\n[[criteria]]\nid = "a"\ntext = "b"\ndimension = 2024-01-01', "criteria[0]"),
        (GOOD_TOML.replace("weight = 2", "weight = nan"), "criteria[0].weight"),
    ],
)
def test_bad_toml_is_refused_with_the_file_and_the_place(tmp_path, text, says):
    (tmp_path / "cardiology@1.toml").write_text(text)
    with pytest.raises(RubricFileError) as caught:
        load_catalog(tmp_path)
    assert str(caught.value).startswith("cardiology@1.toml: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["cardiology.json", "Cardiology@1.json", "cardiology@v1.json", "cardiology@01.json", "-x@1.json", "a b@1.toml"],
)
def test_a_file_with_another_kind_of_name_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_text(json.dumps(GOOD))
    with pytest.raises(RubricFileError, match="expected a file name like") as caught:
        load_catalog(tmp_path)
    assert str(caught.value).startswith(name)


def test_a_file_that_is_not_text_is_refused_by_name(tmp_path):
    (tmp_path / "cardiology@1.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RubricFileError, match=r"cardiology@1\.json: cannot be read"):
        load_catalog(tmp_path)


def test_a_folder_named_like_a_rubric_is_refused_by_name(tmp_path):
    (tmp_path / "cardiology@1.json").mkdir()
    with pytest.raises(RubricFileError, match=r"cardiology@1\.json: cannot be read"):
        load_catalog(tmp_path)


def test_two_files_for_one_name_are_refused_by_name(tmp_path):
    (tmp_path / "cardiology@1.json").write_text(json.dumps(GOOD))
    (tmp_path / "cardiology@1.toml").write_text(GOOD_TOML)
    with pytest.raises(RubricFileError, match=r"cardiology@1 is defined twice"):
        load_catalog(tmp_path)


def test_a_mounted_file_cannot_shadow_a_built_in_rubric(tmp_path):
    (tmp_path / "general-medical@1.json").write_text(json.dumps(GOOD))
    with pytest.raises(RubricFileError, match="general-medical@1 is defined twice"):
        load_catalog(tmp_path)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_mount_that_is_no_folder_is_refused_by_path(tmp_path, kind):
    path = tmp_path / "rubrics"
    if kind == "file":
        path.write_text("")
    with pytest.raises(RubricFileError, match="is not a folder") as caught:
        load_catalog(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('"title"', '"title": "t", "title"', "has a field twice in one object; give each field once: 'title'"),
        ('"id"', '"id": "x", "id"', "give each field once: 'id'"),
        ('"id"', '"weight": 1e999, "id"', "holds a number that is too large"),
        ('"id"', '"weight": NaN, "id"', "holds NaN or Infinity"),
    ],
)
def test_json_that_readers_disagree_about_is_refused(tmp_path, before, after, says):
    criterion = {"id": "a", "text": "t", "dimension": "proficiency"}
    text = json.dumps({"title": "t", "criteria": [criterion]}).replace(before, after, 1)
    (tmp_path / "house@1.json").write_text(text)
    with pytest.raises(RubricFileError, match=rf"house@1\.json: .*{says}"):
        load_catalog(tmp_path)


def test_toml_that_has_a_key_twice_is_refused(tmp_path):
    (tmp_path / "house@1.toml").write_text('title = "t"\ntitle = "u"\n')
    with pytest.raises(RubricFileError, match=r"house@1\.toml"):
        load_catalog(tmp_path)
