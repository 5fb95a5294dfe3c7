"""`promedical rubric import` and `schema`: publishers' criteria as rubric files that the service reads."""

import json

import pytest

import published
from commands import run_here
from promedical.rubric_files import load_catalog, read_rubric
from promedical_client.cli.app import app
from promedical_data.rubric_schema import RUBRIC_SCHEMA

NEED_PROMPTS = {"pancanbench-answers", "pancanbench-grades", "kqa-labels", "openai-batch"}
WITHOUT_CRITERIA = {"openrubrics-prompts"}


def promedical(*words):
    return run_here(app, [str(word) for word in words])


@pytest.mark.parametrize("name", sorted(published.FILES.keys() - NEED_PROMPTS - WITHOUT_CRITERIA))
def test_import_reads_every_format_that_is_converted(name, tmp_path):
    source = published.written(tmp_path / "in", name)
    done = promedical("rubric", "import", source, "--from", name, "--to", tmp_path / "rubrics")
    assert done.returncode == 0, done.stderr
    written = [tmp_path / line for line in done.stdout.splitlines()]
    assert sorted(written) == sorted((tmp_path / "rubrics").iterdir())
    assert len(list(load_catalog(tmp_path / "rubrics"))) == len(written) + 1


def test_import_of_healthbench_keeps_weights_dimensions_and_polarity(tmp_path):
    source = published.written(tmp_path, "healthbench")
    done = promedical("rubric", "import", source, "--to", tmp_path / "fever@1.json")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "fever@1.json"))
    rubric = read_rubric(tmp_path / "fever@1.json").rubric
    said = [(c.text, str(c.dimension), c.weight, str(c.polarity)) for c in rubric.criteria]
    assert said == [
        ("Advises to see a doctor.", "proficiency", 7.0, "positive"),
        ("Recommends antibiotics without an examination.", "safety", None, "negative"),
        ("Is short.", "excellence", None, "positive"),
    ]


ROWS = [{**published.HEALTHBENCH, "prompt_id": name, "rubrics": published.HEALTHBENCH["rubrics"][number:]}
        for number, name in enumerate(("Row A", "row-a"))]  # fmt: skip


def test_import_of_several_rubrics_wants_one_or_a_folder(tmp_path):
    source = published.written(tmp_path / "in", "healthbench", ROWS)
    done = promedical("rubric", "import", source, "--to", tmp_path / "mine@1.json")
    assert (done.returncode, "--id Row A" in done.stderr, "folder" in done.stderr) == (2, True, True)
    done = promedical("rubric", "import", source, "--to", tmp_path / "mine@1.json", "--id", "row-a")
    assert done.returncode == 0
    assert len(read_rubric(tmp_path / "mine@1.json").rubric.criteria) == 2
    done = promedical("rubric", "import", source, "--to", tmp_path / "folder")
    assert done.stdout.splitlines() == [str(tmp_path / "folder" / f"row-a{more}@1.json") for more in ("", "-2")]


def test_import_says_what_it_leaves_out(tmp_path):
    bad = {"criterion": "Is kind.", "points": "many"}
    row = published.HEALTHBENCH | {"rubrics": [*published.HEALTHBENCH["rubrics"], bad]}
    done = promedical(
        "rubric", "import", published.written(tmp_path, "healthbench", [row]), "--to", tmp_path / "a@1.json"
    )
    assert done.returncode == 0
    assert "points" in done.stderr
    assert len(read_rubric(tmp_path / "a@1.json").rubric.criteria) == 3


@pytest.mark.parametrize(
    ("to", "more", "said"),
    [
        ("mine.json", (), "expected a file name like"),
        ("Mine@1.json", (), "expected a file name like"),
        ("mine@1.toml", (), "written as JSON"),
        ("mine@1.json", ("--id", "nobody"), "no row has the id 'nobody'"),
        ("new", ("--id", "nobody"), "no row has the id 'nobody'"),
        ("mine@1.json", ("--from", "nonsense"), "nonsense"),
        ("there@1.json", (), "take the next version"),
    ],
)  # fmt: skip
def test_import_that_cannot_be_done_is_one_line(tmp_path, to, more, said):
    source = published.written(tmp_path / "in", "healthbench")
    (tmp_path / "there@1.json").write_text("kept")
    done = promedical("rubric", "import", source, "--to", tmp_path / to, *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "there@1.json").read_text() == "kept"
    assert not (tmp_path / "mine@1.json").exists()


def test_schema_is_printed_for_editors():
    assert json.loads(promedical("rubric", "schema").stdout) == RUBRIC_SCHEMA
