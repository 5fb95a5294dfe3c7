"""The line that a recipe makes: its stages, what of it can be left out, and what is refused before any call."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from promedical_curation.cli import app
from promedical_curation.errors import CurationError
from promedical_curation.line import Given, line_of
from promedical_curation.pipeline.stages import asks
from promedical_curation.recipes.recipe import STAGES
from promedical_curation.recipes.recipe_files import read_recipe

ROLES = ("difficulty", "category", "candidates", "drafters", "judges")


def endpoint_file(folder: Path, *roles: str, **settings: object) -> Path:
    shared = {"base_url": "http://127.0.0.1:9/v1", **settings}
    path = folder / "endpoints.yaml"
    path.write_text(json.dumps({"endpoints": {role: {**shared, "model": f"for-{role}"} for role in roles or ROLES}}))
    return path


def run_here(folder: Path, endpoints: Path, *changes: str):
    """Run the demonstration's recipe, without what needs vectors."""
    quick = ("judging.by=judges", "dedup=null", "decontamination.vectors=none", *changes)
    chosen = [part for change in quick for part in ("--set", change)]
    paths = [str(folder / "run"), "--recipe", "preference-demo", "--endpoints", str(endpoints), "--data", str(folder)]
    return CliRunner().invoke(app, ["run", *paths, *chosen])


def line(folder: Path, *changes: str, roles: tuple[str, ...] = ROLES):
    given = Given(endpoints=endpoint_file(folder, *roles), folder=folder)
    return line_of(read_recipe("preference-demo", ["judging.by=judges", *changes]), given)


def test_line_has_all_stages_in_order_and_asks_in_those_that_need_a_model(tmp_path):
    stages = line(tmp_path).stages

    assert tuple(stage.name for stage in stages) == STAGES
    asking = ["difficulty", "category", "candidates", "drafting", "verdicts", "final_verdicts"]
    assert [stage.name for stage in stages if asks(stage)] == asking


def test_line_ends_early_and_leaves_out_what_is_null_and_then_needs_no_further_role(tmp_path):
    changes = ("until=difficulty", "screens=null", "dedup=null", "decontamination=null", "take=null")

    stages = line(tmp_path, *changes, roles=("difficulty",)).stages

    assert [stage.name for stage in stages] == ["sources", "difficulty"]


def test_stages_that_differ_in_their_settings_only_differ_in_these(tmp_path):
    before, after = line(tmp_path).stages, line(tmp_path, "labels.uncertain=thin", "rubric.same=0.9").stages

    changed = [old.name for old, new in zip(before, after, strict=True) if old.config != new.config]
    assert changed == ["rubric", "labels"]


@pytest.mark.parametrize("missing", ROLES)
def test_role_that_no_endpoint_has_is_named(tmp_path, missing):
    roles = tuple(role for role in ROLES if role != missing)
    with pytest.raises(CurationError, match=f"names no endpoint for the role {missing}; its roles are "):
        line(tmp_path, roles=roles)


def test_embedding_by_an_endpoint_needs_its_role(tmp_path):
    with pytest.raises(CurationError, match="names no endpoint for the role embedding"):
        line(tmp_path, "dedup.vectors=endpoint")
    assert line(tmp_path, "dedup.vectors=endpoint", roles=(*ROLES, "embedding")).stages


WRONG = {
    "file that is absent": ("sources=[{source: medqa, path: a.jsonl}]", "a.jsonl: cannot be read"),
    "file of another kind": ("sources=[{source: medqa, path: other.parquet}]", "other.parquet"),
    "file without its columns": ("sources=[{source: medqa, path: rows.jsonl}]", "question: is missing"),
    "table without its column": (
        "sources=[{source: mine, path: rows.jsonl, columns: {instruction: asked}}]",
        "asked: is missing",
    ),
    "source that is none": ("sources=[{source: medqua, path: rows.jsonl}]", "source 'medqua' is unknown"),
    "sample that is none": ("sources=[{source: medqa, sample: true}]", "source medqa: has no sample; expected path"),
    "no source": ("sources=[]", "sources: no file is named"),
    "benchmark that is absent": (
        "decontamination.benchmarks=[{name: b, path: b.jsonl}]",
        "b.jsonl: cannot be read: No such file or directory; expected the questions of b",
    ),
    "benchmark of another kind": (
        "decontamination.benchmarks=[{name: b, path: rows.jsonl}]",
        "benchmark b: ",
    ),
    "language that is none": ("screens.languages=[english]", "languages ['english'] are unknown"),
    "similarity that is none": ("dedup.jaccard=0.1", "dedup: jaccard is 0.1; expected 0.5 to 1"),
    "prompt of nothing": ("prompts.judging=' '", "prompts.judging: is empty"),
    "prompt file that is absent": ("prompt_files.judging=a.md", "a.md: cannot be read"),
    "endpoint that is down": ("take=2", "endpoint difficulty (http://127.0.0.1:9/v1): the connection failed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_run_is_said_and_nothing_is_lost(tmp_path, case):
    change, message = WRONG[case]
    (tmp_path / "rows.jsonl").write_text('{"text": "What is gout?"}\n')
    (tmp_path / "other.parquet").write_bytes(b"PAR1 and nothing else")

    ran = run_here(tmp_path, endpoint_file(tmp_path), change)

    assert ran.exit_code == 2, ran.output
    assert message in ran.stderr
    assert "Traceback" not in ran.output


def test_key_that_is_missing_is_named_for_every_role(tmp_path):
    ran = run_here(tmp_path, endpoint_file(tmp_path, key_env="MY_UNSET_KEY"))

    assert ran.exit_code == 2
    for role in ROLES:
        assert f"endpoint {role}: the environment variable MY_UNSET_KEY is not set" in ran.stderr


def test_rounds_of_a_folder_without_a_run_are_refused(tmp_path):
    for words in (["export", str(tmp_path), "-o", "x"], ["import", str(tmp_path), "x"], ["status", str(tmp_path)]):
        ran = CliRunner().invoke(app, ["round", *words])
        assert ran.exit_code == 2
        assert "holds no run of promedical-curate" in ran.stderr
