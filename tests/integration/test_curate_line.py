"""The whole line of curation, from questions to a file that the trainer reads: with a real model's server and rounds.

SmolLM2 rates and answers; a rule sorts, drafts and judges, so that what has to come out can be said.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fault_proxy import Proxy, running_proxy
from promedical_curation.cli import app
from promedical_curation.pipeline.manifest import Manifest, read_manifest
from promedical_curation.pipeline.row_files import ROWS, RowFile
from promedical_curation.recipes.recipe import STAGES
from promedical_data.rounds.files import read_round, write_decisions
from promedical_data.rounds.round import Decision, Item
from promedical_trainer.rm.recipe import DataChoice
from promedical_trainer.rm.splits import read_splits
from rule_model import running_rule_model

QUESTIONS = {
    "q1": "What is the best treatment of gout in a patient whose kidneys fail?",
    "q2": "Why does my knee swell after running?",
    "q3": "How is a stroke told from a migraine with aura?",
    "q4": "how is a stroke told from a migraine with aura",
    "q5": "What are the signs of breast cancer?",
    "q6": "Nothing is asked here.",
}
SHORT = {"grammar": 'root ::= [A-Z] [a-z ]{30,45} "."'}
"""An answer that is cut off is asked for again, which a test has no time for."""
RECIPE = """
name: short
decontamination:
  benchmarks: [{name: sample, sample: true}]
  vectors: none
take: 3
difficulty: {keep: 0-10}
candidates: {max_tokens: 40}
review: {size: 2, target: 0.5}
labels: {least: 0.5}
prompts:
  difficulty: Rate it.
  candidate: Answer in one sentence.
"""


def curate(*arguments: object) -> str:
    """What the command said on standard output, then on standard error; it has to end well."""
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ran.exit_code == 0, ran.stderr
    return ran.stdout + ran.stderr


def refused(*arguments: object) -> str:
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ran.exit_code == 2, ran.output
    return ran.stderr


def endpoint_file(folder: Path, small: str, rule: str) -> Path:
    def endpoint(url: str, **settings: object) -> dict[str, object]:
        return {"base_url": url, "model": "smollm2", "seed": True, "prices": {"input": 0, "output": 0}, **settings}

    roles = {
        "difficulty": endpoint(small),
        "category": endpoint(rule),
        "candidates": [endpoint(small, output="none", parameters=SHORT | {"temperature": t}) for t in (0, 0.8, 1.5)],
        "drafters": [endpoint(rule, model=name) for name in ("rule-a", "rule-b")],
        "judges": [endpoint(rule, model=name) for name in ("rule-a", "rule-b")],
    }
    path = folder / "endpoints.yaml"
    path.write_text(json.dumps({"endpoints": roles}))
    return path


class Made:
    """A run that was made once, and the proxies that count what it asked."""

    def __init__(self, folder: Path, small: Proxy, rule: Proxy) -> None:
        self.run, self.small, self.rule = folder / "run", small, rule
        rows = [{"id": name, "source": "made", "licence": "MIT", "instruction": q} for name, q in QUESTIONS.items()]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "recipe.yaml").write_text(RECIPE)
        endpoints = endpoint_file(folder, small.url, rule.url)
        self.common = (self.run, "--recipe", folder / "recipe.yaml", "--input", folder / "rows.jsonl")
        self.common += ("--endpoints", endpoints)
        self.said = curate("run", *self.common)

    def manifest(self, stage: str) -> Manifest:
        found = read_manifest(self.run / "stages" / stage)
        assert found is not None, stage
        return found

    @property
    def calls(self) -> int:
        return len(self.small.calls) + len(self.rule.calls)

    def pairs(self) -> list[dict]:
        files = sorted((self.run / "stages" / "pairs" / "criteria").glob("*.jsonl.gz"))
        return [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]


@pytest.fixture(scope="module")
def made(llama: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with running_rule_model() as rule, running_proxy(llama) as small, running_proxy(rule.removesuffix("/v1")) as ruled:
        yield Made(tmp_path_factory.mktemp("line"), small, ruled)


def test_line_accounts_for_every_row_at_every_stage(made: Made) -> None:
    stages = ["input", *STAGES[1:]]
    manifests = [made.manifest(stage) for stage in stages]
    assert [each.rows_in for each in manifests[1:]] == [each.kept for each in manifests[:-1]]
    for each in manifests:
        assert each.rows_in == each.kept + sum(each.dropped.values()) + sum(each.failed.values())
    dropped = {each.stage: dict(each.dropped) for each in manifests if each.dropped}
    assert dropped["screens"] == {"not_a_question": 1}
    assert dropped["dedup"] == {"duplicate": 1}
    assert dropped["decontamination"] == {"contaminated": 1}


def test_line_ends_with_files_that_the_trainer_reads(made: Made) -> None:
    assert f"{len(made.pairs())} prompts with " in made.said
    splits = read_splits(made.run / "stages" / "pairs", DataChoice())
    assert [len(each) for each in (splits.train, splits.dev, splits.test)] == [1, 1, 1]
    for row in made.pairs():
        assert row["review"] == "unreviewed"
        assert (row["licence"], row["judges"]) == ("MIT", ["rule-a", "rule-b"])
        assert row["pairs"]["criterion"]
        texts = {each["id"]: each["text"] for each in row["responses"]}
        for pair in row["pairs"]["criterion"]:
            word = next(c["text"] for c in row["criteria"] if c["id"] == pair["criterion"])[16:-1]
            assert word in texts[pair["chosen"]]
            assert word not in texts[pair["rejected"]]


def test_line_is_up_to_date_and_asks_nothing_again(made: Made) -> None:
    before = made.calls
    said = curate("run", *made.common)
    assert said.count("(up to date)") == len(STAGES)
    assert made.calls == before


def test_show_follows_one_row_through_all_stages_with_reasons(made: Made) -> None:
    kept = made.pairs()[0]["id"]
    shown = curate("show", made.run, kept)
    assert [line for line in shown.splitlines() if line.endswith(": kept")] == [
        f"{stage}: kept" for stage in ["input", *STAGES[1:]]
    ]
    assert shown.count(QUESTIONS[kept]) == 1
    assert "reason: not_a_question" in curate("show", made.run, "q6")
    assert "reason: contaminated" in curate("show", made.run, "q5")


def test_changed_prompt_runs_exactly_what_comes_after_it(made: Made) -> None:
    before, small = made.calls, len(made.small.calls)
    changed = (*made.common, "--set", "prompts.judging=Is it so?")
    assert "verdicts: config.prompt was sha256:" in refused("run", *changed)
    assert made.calls == before
    said = curate("run", *changed, "--accept-changes")
    assert said.count("(up to date)") == STAGES.index("verdicts")
    assert len(made.small.calls) == small
    assert len(made.rule.calls) > 0
    again = curate("run", *made.common, "--accept-changes")
    assert again.count("(up to date)") == STAGES.index("verdicts")
    assert made.manifest("pairs").kept == len(made.pairs())


def test_stage_runs_alone_without_a_call(made: Made) -> None:
    before, manifest = made.calls, made.manifest("labels")
    said = curate("run", *made.common, "--stage", "labels", "--again")
    assert "labels: 3 in" in said
    assert "pairs" not in said
    assert made.calls == before
    assert made.manifest("labels").digests == manifest.digests


def decided(item: Item, *, fixed: bool) -> Decision:
    criteria = item.criteria[:1] if fixed else item.criteria
    verdict = "fixed" if fixed else "accepted"
    return Decision(row=item.row, verdict=verdict, criteria=criteria, rater="r1", at="2026-11-30T12:00:00+00:00")


def test_round_goes_out_comes_in_and_changes_what_it_decided(made: Made, tmp_path: Path) -> None:
    """Last of this module: it changes the run."""
    assert "go on reviewing" in curate("round", "status", made.run)
    assert "round 1 (" in curate("round", "export", made.run, "-o", tmp_path / "round.jsonl")
    name, items = read_round(tmp_path / "round.jsonl")
    assert len(items) == 2
    assert all(0 < item.probability <= 1 for item in items)
    again = curate("round", "export", made.run, "-o", tmp_path / "again.jsonl")
    assert "round 1 (" in again
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "round.jsonl").read_bytes()

    first, second = items
    write_decisions(tmp_path / "in.jsonl", name, [decided(first, fixed=True), decided(second, fixed=False)])
    said = curate("round", "import", made.run, tmp_path / "in.jsonl")
    assert "2 new decisions" in said
    assert "2 of 2 decided; strict pass rate" in said
    estimate = json.loads((made.run / "rounds" / "1" / "estimate.json").read_text())["estimate"]
    assert 0 < estimate["value"] < 1
    assert "review: out of date: config.decisions was" in curate("status", made.run)

    asked = len(made.small.calls)
    curate("run", *made.common)
    reviews = {row["id"]: row for row in made.pairs()}
    assert {name: row["review"] for name, row in reviews.items() if row["review"] != "unreviewed"} == {
        first.row: "fixed",
        second.row: "accepted",
    }
    assert len(reviews[first.row]["criteria"]) == 1
    assert len(made.small.calls) == asked


def test_service_judges_and_is_pinned_by_its_fingerprint(made: Made, fake_server, monkeypatch) -> None:
    """The other judge: ProMedical's own service. It comes last, since it changes the run."""
    monkeypatch.setenv("PROMEDICAL_URL", fake_server.grpc_url)
    before = made.calls
    judged = (*made.common, "--set", "judging.by=service", "--set", "until=verdicts", "--accept-changes")
    assert "verdicts: 3 in, 3 kept" in curate("run", *judged)
    assert made.calls == before
    fingerprint = made.manifest("verdicts").fingerprint["config.fingerprint"]
    for row in RowFile(made.run / "stages" / "verdicts" / ROWS):
        note = row.notes["verdicts"]
        criteria, responses = row.notes["rubric"]["criteria"], row.notes["candidates"]["responses"]
        assert len(note["votes"]) == len(criteria) * len(responses)
        assert {vote["judge"] for vote in note["votes"]} == {note["fingerprint"]}
        assert all(vote["met"] is (vote["probability"] >= 0.5) for vote in note["votes"])
    assert fingerprint
    monkeypatch.setenv("PROMEDICAL_URL", "grpc://127.0.0.1:9")
    assert "is it running, and is PROMEDICAL_URL its address?" in refused("run", *judged)
    assert made.manifest("verdicts").kept == 3
