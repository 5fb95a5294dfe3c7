"""The whole loop with real models: from curation to physicians and back, and from physicians to the bench."""

import csv
import json
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import promedical_review.demo
from commands import run_here
from fault_proxy import Proxy, running_proxy
from promedical.messages import CriterionSpec, RubricSpec
from promedical_bench.cli import app as bench_app
from promedical_client.sync import Client
from promedical_curation.cli import app as curate_app
from promedical_curation.pipeline.manifest import read_manifest
from promedical_curation.pipeline.row_files import ROWS, RowFile
from promedical_curation.review_rounds import pool_of, read_rounds
from promedical_data.reading import read
from promedical_data.rounds.files import read_round
from promedical_review.cli import app as review_app
from promedical_review.people.users import Users
from promedical_review.store.database import Database
from review_browsers import chromium, person, pressed, ready, served
from serving import RunningServer

pytestmark = [pytest.mark.loop, pytest.mark.timeout(1200)]

CORRECTED = "States that swelling for more than a week needs a doctor."
QUESTIONS = {
    "gout": "What is the best treatment of gout in a patient whose kidneys fail?",
    "knee": "Why does my knee swell after running?",
    "stroke": "How is a stroke told from a migraine with aura?",
    "fever": "How much paracetamol may a child with a fever take?",
    "cough": "When does a cough that lasts need an X-ray of the chest?",
}
SHORT = {"grammar": 'root ::= [A-Z] [a-z ]{30,45} "."'}
"""An answer that is cut off is asked for again, which a test has no time for."""
RECIPE = """
name: loop
screens: null
dedup: null
difficulty: {keep: 0-10}
candidates: {max_tokens: 40}
drafting: {examples: 2, max_tokens: 320, most_criteria: 1, most_characters: 60, dimensions: [proficiency]}
review: {size: 3, target: 0.5}
judging: {by: service}
labels: {least: 0.5}
until: labels
prompts:
  difficulty: Rate the difficulty from 0 to 10.
  candidate: Answer in one sentence.
  drafting: Write one criterion for good answers, such as "States that the pain spreads to the back."
"""


class Curation:
    """A run of curation in which one small model has all roles, behind a proxy that keeps what was asked."""

    def __init__(self, folder: Path, model: Proxy, service: RunningServer) -> None:
        self.run, self._model, self._url = folder / "run", model, service.grpc_url
        rows = [{"id": name, "source": "made", "licence": "MIT", "instruction": q} for name, q in QUESTIONS.items()]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "recipe.yaml").write_text(RECIPE)
        (folder / "endpoints.yaml").write_text(json.dumps({"endpoints": self._roles()}))
        self._line = ("--recipe", folder / "recipe.yaml", "--input", folder / "rows.jsonl")
        self._line += ("--endpoints", folder / "endpoints.yaml")

    def _roles(self) -> dict[str, object]:
        def endpoint(**parameters: object) -> dict[str, object]:
            shared = {"base_url": self._model.url, "model": "smollm2", "seed": True, "parameters": parameters}
            return {**shared, "prices": {"input": 0, "output": 0}, "timeout_s": 240, "max_in_flight": 2}

        candidates = [endpoint(**SHORT, temperature=each) | {"output": "none"} for each in (0, 0.8)]
        drafters = [endpoint(), endpoint(frequency_penalty=0.6)]
        return {"difficulty": endpoint(), "category": endpoint(), "candidates": candidates, "drafters": drafters}

    def run_line(self) -> list[list[dict[str, str]]]:
        """Run what is out of date; gives what the drafters were asked: the prompt, examples, and a question at last."""
        before = len(self._model.calls)
        self.said("run", self.run, *self._line)
        asked = [each.body["messages"] for each in self._model.calls[before:]]
        return [each for each in asked if "Write one criterion" in each[0]["content"]]

    def said(self, *arguments: object) -> str:
        return command(curate_app, *arguments, PROMEDICAL_URL=self._url)

    def rubrics(self, stage: str) -> dict[str, list[str]]:
        """The wordings of the rubrics after a stage, by row."""
        rows = RowFile(self.run / "stages" / stage / ROWS)
        return {row.id: [each["text"] for each in row.notes[stage]["criteria"]] for row in rows}


def command(app, *arguments: object, **environ: str) -> str:
    """What a command said; it has to end well."""
    ran = run_here(app, [str(each) for each in arguments], environ)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return str(ran.stdout)


def test_corrections_of_three_physicians_reach_the_drafters_of_the_next_round(llama, default_server, tmp_path):
    with running_proxy(llama) as model:
        curation = Curation(tmp_path, model, default_server)
        first = curation.run_line()
        out, back = tmp_path / "round.jsonl", tmp_path / "decisions.jsonl"
        curation.said("round", "export", curation.run, "-o", out)
        assert "no estimate yet" in curation.said("round", "status", curation.run)
        assert pool_of(read_rounds(curation.run)).examples == ()

        accepted, fixed, rejected = review(tmp_path, out, back)

        assert "strict pass rate" in curation.said("round", "import", curation.run, back)
        estimate = json.loads((curation.run / "rounds" / "1" / "estimate.json").read_text())["estimate"]
        assert 0 < estimate["low"] < estimate["value"] < estimate["high"] < 1
        pool = {each.id: [c.text for c in each.criteria] for each in pool_of(read_rounds(curation.run)).examples}
        assert pool.keys() == {accepted, fixed}
        assert pool[fixed][0] == CORRECTED

        second = curation.run_line()
        for name, question in QUESTIONS.items():
            before, now = (shows_correction(asked, question) for asked in (first, second))
            assert before == {False}, name
            assert now == {name != fixed}, name  # nobody is shown the answer to the very question
        assert curation.rubrics("review")[fixed][0] == CORRECTED
        manifest = read_manifest(curation.run / "stages" / "review")
        assert manifest is not None
        assert dict(manifest.dropped) == {"rejected": 1}
        curation.said("round", "export", curation.run, "-o", tmp_path / "next.jsonl")
        _, items = read_round(tmp_path / "next.jsonl")
        assert items
        assert {item.row for item in items}.isdisjoint({accepted, fixed, rejected})


def shows_correction(asked: list[list[dict[str, str]]], question: str) -> set[bool]:
    """Whether drafters who were asked this question saw what a physician had corrected."""
    return {CORRECTED in json.dumps(each) for each in asked if question in each[-1]["content"]}


def review(folder: Path, out: Path, back: Path) -> tuple[str, str, str]:
    """Three physicians in three browsers review a round; gives the rows that were accepted, fixed and rejected."""
    url = f"sqlite:///{folder}/review.db"
    command(review_app, "db", "upgrade", "--database", url)
    command(review_app, "import", "round", out, "--open", "--database", url)
    people = {"boss": "admin", "ada": "physician", "ben": "physician", "cem": "physician"}
    for name, role in people.items():
        command(review_app, "users", "add", name, "--role", role, "--database", url)
    with closing(Database(url)) as database, served(database) as address, ExitStack() as stack:
        browser = stack.enter_context(chromium())
        pages = [stack.enter_context(person(browser, address, database, name)) for name in people]
        boss, ada, ben, cem = pages
        decided = [row_of(page, out) for page in (ada, ben, cem)]
        pressed(ada, "a")
        ben.locator(".criterion textarea").first.fill(CORRECTED)
        ben.locator(".criterion textarea").first.press("Escape")
        pressed(ben, "f")
        cem.keyboard.press("x")
        pressed(cem, "1")
        close_round(boss, back)
        assert {user.name: user.role for user in Users(database).every()} == people
    accepted, fixed, rejected = decided
    return accepted, fixed, rejected


def row_of(page: Page, out: Path) -> str:
    """Take the next rubric; gives the row that it is about."""
    page.goto("/work")
    pressed(page, "n")
    ready(page)
    shown = page.locator(".prose").first.inner_text()
    (row,) = (item.row for item in read_round(out)[1] if item.instruction in shown)
    return row


def close_round(boss: Page, back: Path) -> None:
    boss.on("dialog", lambda dialog: dialog.accept())
    boss.goto("/rounds")
    boss.locator("td a").click()
    boss.click("text=Close the round")
    expect(boss.locator("h1 .pill")).to_have_text("closed")
    with boss.expect_download() as download:
        boss.click("text=Download the decisions")
    download.value.save_as(back)


def test_bench_measures_a_service_against_the_final_verdicts_of_physicians(default_server, tmp_path):
    url = f"sqlite:///{tmp_path}/review.db"
    labels = Path(promedical_review.demo.__file__).parent / "sample_files" / "NLI_medical_annotator.csv"
    command(review_app, "db", "upgrade", "--database", url)
    command(review_app, "import", "rated", labels, "--format", "kqa", "--name", "K-QA", "--database", url)
    command(review_app, "export", "bench", "K-QA", tmp_path / "bench", "--database", url)
    data, out = tmp_path / "bench" / "bench.jsonl", tmp_path / "out"
    asked = ("--task", "promedical", "--data", data, "--output", out, "--url", default_server.grpc_url)
    command(bench_app, "quality", *asked, "--no-controls")
    with (tmp_path / "bench" / "finals.csv").open(newline="") as stream:
        final = {(row["item"], row["answer"], row["criterion"]): row["verdict"] for row in csv.DictReader(stream)}

    report = json.loads((out / "report.json").read_text())
    assert report["header"]["model"]["status"] != "fake"
    found = report["evaluation"]["scores"]["model"]["raw_agreement"]["overall"]
    judged = verdicts(default_server, data)
    agreed = [judged[place] == (verdict == "met") for place, verdict in final.items()]
    assert found["n"] == len(final) == len(judged) > 100
    assert found["value"] == pytest.approx(sum(agreed) / len(agreed), abs=0.02)  # verdicts at the threshold
    assert "Raw agreement" in (out / "report.md").read_text()


def verdicts(service: RunningServer, data: Path) -> dict[tuple[str, str, str], bool]:
    """What the service says of every checkpoint, asked by the SDK."""
    found = {}
    with Client(service.grpc_url) as client:
        for prompt in read(data).prompts:
            texts = [each.text for each in prompt.responses]
            rubric = RubricSpec(criteria=tuple(map(CriterionSpec.of, prompt.criteria)))
            result = client.score_one(prompt.turns, texts, rubric=rubric).result
            assert result is not None
            for response, outcome in zip(prompt.responses, result.responses, strict=True):
                assert outcome.scores is not None
                found |= {(prompt.id, response.id, each.id): each.met for each in outcome.scores.criteria}
    return found
