"""`promedical rubric`: help for people who write rubrics, without a service."""

import json

import pytest
from typer.testing import CliRunner

from promedical_client.cli.app import app


def lint(*files):
    return CliRunner().invoke(app, ["rubric", "lint", *map(str, files)])


def rubric(folder, *texts, name="mine@1.json"):
    criteria = [{"id": f"c{n}", "text": text, "dimension": "proficiency"} for n, text in enumerate(texts)]
    (folder / name).write_text(json.dumps({"title": "mine", "criteria": criteria}), encoding="utf-8")
    return folder / name


def test_lint_says_nothing_of_a_well_worded_rubric(tmp_path):
    done = lint(rubric(tmp_path, "States the dose.", "Names a side effect."))

    assert (done.exit_code, done.stdout) == (0, "")
    assert "criteria: 2; advice on 0" in done.stderr


def test_lint_names_file_criterion_rule_and_words(tmp_path):
    good, bad = rubric(tmp_path, "States the dose."), rubric(tmp_path, "Gives adequate advice.", name="other@2.json")

    done = lint(good, bad)

    assert done.exit_code == 1
    assert done.stdout.startswith(f"{bad}: c0: vague: ")
    assert '"adequate"' in done.stdout


@pytest.mark.parametrize(
    ("name", "content"),
    [("absent@1.json", None), ("mine@1.json", "{"), ("mine.json", "{}"), ("mine@1.toml", "title = 1")],
)
def test_lint_of_what_is_no_rubric_is_one_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")

    done = lint(tmp_path / name)

    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr
