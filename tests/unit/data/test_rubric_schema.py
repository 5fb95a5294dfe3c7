"""The schema for editors says of a rubric file what the reader says."""

import json

import pytest
from jsonschema import Draft202012Validator

from promedical.rubric_files import RubricFileError, load_catalog, read_rubric
from promedical_data.rubric_schema import RUBRIC_SCHEMA

CRITERION = {"id": "dose", "text": "States the dose.", "dimension": "proficiency"}
VALIDATOR = Draft202012Validator(RUBRIC_SCHEMA)


def rubric(*changes, **more):
    criteria = [CRITERION | change for change in changes or ({},)]
    return {"title": "mine", "criteria": criteria, **more}


def is_read(raw, folder):
    (folder / "mine@1.json").write_text(json.dumps(raw), encoding="utf-8")
    try:
        read_rubric(folder / "mine@1.json")
    except RubricFileError:
        return False
    return True


GOOD = {
    "least": rubric(),
    "schema": rubric(**{"$schema": "../docs/reference/rubric.schema.json"}),
    "weight": rubric({"weight": 2}, {"id": "b", "weight": 0.5}),
    "negative proficiency": rubric({"polarity": "negative"}),
    "safety": rubric({"dimension": "safety"}, {"id": "b", "dimension": "safety", "polarity": "negative"}),
    "excellence": rubric({"dimension": "excellence", "polarity": "positive"}),
}
BAD = {
    "no title": {"criteria": [CRITERION]},
    "no criteria": rubric() | {"criteria": []},
    "more keys": rubric(version=1),
    "schema of another type": rubric(**{"$schema": 1}),
    "unknown dimension": rubric({"dimension": "style"}),
    "blank text": rubric({"text": " "}),
    "blank id": rubric({"id": ""}),
    "long id": rubric({"id": "x" * 257}),
    "misspelt key": rubric({"wieght": 1}),
    "weighted bonus": rubric({"dimension": "excellence", "weight": 1}),
    "weighted veto": rubric({"dimension": "safety", "weight": 1}),
    "positive veto": rubric({"dimension": "safety", "polarity": "positive"}),
    "negative weight": rubric({"weight": -1}),
    "weight as text": rubric({"weight": "1"}),
    "no object": [],
}


@pytest.mark.parametrize("name", GOOD)
def test_schema_accepts_what_is_read(name, tmp_path):
    assert VALIDATOR.is_valid(GOOD[name])
    assert is_read(GOOD[name], tmp_path)


@pytest.mark.parametrize("name", BAD)
def test_schema_refuses_what_is_not_read(name, tmp_path):
    assert not VALIDATOR.is_valid(BAD[name])
    assert not is_read(BAD[name], tmp_path)


def test_schema_is_one_and_accepts_the_built_in_rubrics():
    Draft202012Validator.check_schema(RUBRIC_SCHEMA)
    for named in load_catalog():
        criteria = [
            {"id": c.id, "text": c.text, "dimension": str(c.dimension)} | ({"weight": c.weight} if c.weight else {})
            for c in named.rubric.criteria
        ]
        assert VALIDATOR.is_valid({"title": named.title, "criteria": criteria})


def test_rubric_in_toml_may_name_its_schema_too(tmp_path):
    path = tmp_path / "mine@1.toml"
    path.write_text(
        '"$schema" = "rubric.schema.json"\ntitle = "mine"\n[[criteria]]\nid = "a"\ntext = "States it."\n'
        'dimension = "safety"\n',
        encoding="utf-8",
    )
    assert read_rubric(path).title == "mine"
