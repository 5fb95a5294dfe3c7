"""The report of a run: every number in it is one of the run's files, and any run folder has one."""

import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

import curating
from promedical_curation.asking.answers import Answer
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.fetching import Terms
from promedical_curation.asking.store import Payer, Spending, open_store
from promedical_curation.cli import app
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.run_folder import open_run
from promedical_curation.pipeline.running import Runner, Wishes
from promedical_curation.pipeline.stages import RowStage, TableStage
from promedical_curation.pipeline.worker import Means
from promedical_curation.report.report import content_of
from promedical_curation.report.run_view import view_run
from promedical_curation.rows import Drop, Failed
from promedical_curation.stages import candidates, category, difficulty, judging, labelling
from promedical_curation.stages.free import asks_nothing
from promedical_curation.stages.prompt_files import built_in_prompt

JUDGES = ("judges/1", "judges/2")
CRITERIA = [
    {"id": name, "text": text, "dimension": "proficiency", "polarity": "positive", "weight": 3.0, "citation": None,
     "factual": False, "drafters": ["drafters/1"]}
    for name, text in (("c1", "States the dose."), ("c2", "Advises to see a doctor."))
]  # fmt: skip


def endpoint(name: str) -> Endpoint:
    return Endpoint(base_url="http://127.0.0.1:1/v1", model=f"model-{name}", name=name)


def answer(value) -> Answer:
    text = value if isinstance(value, str) else json.dumps(value)
    return Answer(text=text, finish="stop", model="m", input_tokens=1, output_tokens=1)


def given() -> list:
    """Twelve questions of two sources, one of them twice, and one that is no row."""
    rows = [
        curating.row(f"How is disease {n} treated?", id=f"q{n:02}", source="medquad" if n % 3 else "clinic")
        for n in range(12)
    ]
    licences = {"medquad": "CC-BY-4.0", "clinic": "no licence stated"}
    rows = [replace(each, licence=licences[each.source]) for each in rows]
    rows[1] = replace(rows[1], instruction="How is <b>disease</b> & co 0 treated?")
    return [*rows, Failed(row=curating.row("", id="q99", source="clinic"), error="empty", message="is empty")]


def number(row) -> int:
    return int(row.id[1:])


def answered(stage, reply) -> RowStage:
    """A real stage, with replies that are made from the row instead of asked for."""
    replies = lambda row: [answer(each) for each in reply(row)]  # noqa: E731
    return replace(stage, endpoints=(), ask=asks_nothing, decide=lambda row, _: stage.decide(row, replies(row)))


def dedup() -> TableStage:
    note = {"keeper": "q00", "stage": "meaning", "score": 0.8512}
    drop = lambda row: Drop(row=row, reason="duplicate", note=note) if row.id == "q01" else row  # noqa: E731
    return TableStage(name="dedup", config={"jaccard": 0.8, "cosine": 0.85}, decide=lambda rows: map(drop, rows))


def stages() -> list:
    taxonomy = category.built_in_taxonomy()
    asked = [endpoint("one"), endpoint("two")]
    rated = difficulty.Difficulty(endpoint=endpoint("difficulty"), prompt=built_in_prompt("difficulty")).stage
    sorted_ = category.Category(endpoint=endpoint("c"), prompt=built_in_prompt("category"), taxonomy=taxonomy).stage
    candidate = candidates.Candidates(endpoints=tuple(asked), prompt=built_in_prompt("candidate")).stage
    judged = judging.Judging(
        endpoints=tuple(map(endpoint, JUDGES)), prompt=built_in_prompt("judging"), rubric="rubric"
    ).stage
    rubric = RowStage(
        name="rubric", ask=asks_nothing, decide=lambda row, _: row.noted("rubric", {"criteria": CRITERIA})
    )
    kind, *_ = taxonomy.kinds
    specialty, *_ = (each for each in taxonomy.specialties if each != category.OUTSIDE)
    return [
        curating.source(given()),
        dedup(),
        answered(rated, lambda row: [{"reasons": "it is rare", "difficulty": min(number(row), 10)}]),
        answered(sorted_, lambda row: [{"specialty": specialty, "kind": kind}]),
        answered(candidate, lambda row: [f"Take {number(row)} mg.", "See a doctor."]),
        rubric,
        answered(judged, verdicts),
        labelling.Labelling(rubric="rubric", verdicts="verdicts", golds={}, least=0.6).stage,
    ]


def verdicts(row) -> list:
    """Of two judges about two criteria of two answers: of one row they differ, and the second invents a quote."""
    met, not_met = "met", "not_met"
    first = [(met, "Take"), (not_met, ""), (not_met, ""), (met, "See a doctor")]
    differs = (met, "See a doctor") if number(row) == 5 else (not_met, "")
    second = [(met, "Take"), (met, "nowhere"), differs, (met, "See a doctor")]
    return [{"verdict": verdict, "evidence": quote} for verdict, quote in (*first, *second)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of all stages."""
    folder = tmp_path_factory.mktemp("report") / "run"
    made = stages()
    with open_run(folder, made) as opened:
        means = Means(endpoints={}, store=opened.store, terms=Terms(run=opened.id))
        Runner(opened, means, Console(file=io.StringIO())).run(Wishes(max_failed=1.0))
        store = open_store(opened.store)
        store.keep(
            "k", "{}", replace(answer("x"), cost=0.25, attempts=2, seconds=3.0), Payer(run=opened.id, stage="category")
        )
        store.close()
    estimate = {"value": 0.9, "low": 0.8, "high": 0.95, "decided": 20}
    for name, found in (("1", estimate), ("2", None)):
        (folder / "rounds" / name).mkdir(parents=True)
        (folder / "rounds" / name / "estimate.json").write_text(
            json.dumps({"round": f"r-{name}", "level": 0.95, "estimate": found})
        )
    (folder / "rounds" / "3").mkdir()
    return folder


@pytest.fixture(scope="module")
def content(run):
    return content_of(view_run(run), {"category": Spending(calls=4, attempts=5, input_tokens=6, cost=0.5, seconds=2.0)})


def table(content, title: str) -> list[tuple[str, ...]]:
    return next([line.cells for line in each.lines] for each in content.tables if each.title == title)


def test_funnel_counts_rows_by_stage_and_source(content):
    lines = table(content, "Rows that each stage kept")
    assert lines[0] == ("given", "13", "12", "92.3%", "8", "4")
    assert lines[1] == ("dedup", "12", "11", "91.7%", "7", "4")
    assert lines[2] == ("difficulty", "11", "5", "45.5%", "3", "2")
    assert [line[0] for line in lines[3:]] == ["category", "candidates", "rubric", "verdicts", "labels"]


def test_many_sources_share_a_column(tmp_path):
    rows = [curating.row("What?", id=f"q{n}", source=f"s{n % 14:02}") for n in range(20)]
    curating.run_line(tmp_path / "run", [curating.source(rows)], curating.endpoint("http://127.0.0.1:1/v1"))
    funnel = content_of(view_run(tmp_path / "run"), None).tables[0]
    assert funnel.columns[-1] == "others"
    assert sum(int(cell) for cell in funnel.lines[0].cells[4:]) == 20


def test_losses_name_the_reason_and_how_many(content):
    lines = table(content, "Rows that were dropped, or failed")
    assert ("given", "failed", "empty", "1", "7.7%") in lines
    assert ("dedup", "dropped", "duplicate", "1", "8.3%") in lines
    assert ("difficulty", "dropped", "too_easy", "4", "36.4%") in lines
    assert ("difficulty", "dropped", "too_hard", "2", "18.2%") in lines


def test_difficulties_include_what_was_dropped(content):
    lines = table(content, "Difficulty")
    assert [line[0] for line in lines] == [str(level) for level in range(11)]
    assert lines[0] == ("0", "0", "1")
    assert lines[7] == ("7", "1", "0")
    assert lines[10] == ("10", "0", "2")


def test_categories_are_counted(content):
    assert [line[1:] for line in table(content, "Questions by kind")] == [("5", "100.0%")]


def test_agreement_is_on_labels_that_both_judges_assessed(content):
    votes = table(content, "Votes of the judges (verdicts)")
    assert votes[0] == ("judges/1", "20", "50.0%", "50.0%", "0.0%", "0")
    assert votes[1] == ("judges/2", "20", "55.0%", "20.0%", "25.0%", "5")
    ((pair, labels, raw, kappa, ac1),) = table(content, "Agreement of the judges (verdicts)")
    assert (pair, labels, raw) == ("judges/1 and judges/2", "15", "0.933")
    assert float(kappa) == pytest.approx((14 / 15 - 130 / 225) / (1 - 130 / 225), abs=0.001)
    assert float(ac1) == pytest.approx((14 / 15 - 0.42) / (1 - 0.42), abs=0.001)


def test_rounds_show_their_estimate_or_that_there_is_none(content):
    lines = table(content, "Rubrics that physicians accept without an edit")
    assert lines == [("1", "20", "0.900", "0.800 to 0.950"), ("2", "0", "-", "-"), ("3", "0", "-", "-")]
    assert ("strict pass rate", "0.900", "0.800 to 0.950") in content.tiles


def test_costs_are_those_of_the_store(content):
    lines = table(content, "Calls, tokens and cost")
    assert lines == [("category", "4", "5", "6", "0", "$0.5000", "0.50")]


def test_examples_are_those_nearest_to_the_threshold(content):
    groups = {group.title: group.examples for group in content.examples}
    (pair,) = groups["The least alike that count as one (dedup)"]
    assert pair.decision == "duplicate by meaning, 0.851 (from jaccard 0.8, cosine 0.85)"
    assert pair.texts == {"dropped": given()[1].instruction, "kept instead": given()[0].instruction}
    bounds = [(each.id, each.decision) for each in groups["At the bounds of the difficulty, 5-9"]]
    assert bounds[0] == ("q04", "difficulty 4: too easy")
    assert ("q05", "difficulty 5: kept") in bounds
    assert ("q09", "difficulty 9: kept") in bounds
    assert bounds[-2:] == [("q10", "difficulty 10: too hard"), ("q11", "difficulty 10: too hard")]
    assert groups["The least sure labels that were kept"]


def test_sources_are_credited(content):
    found = {each.name: each for each in content.sources}
    assert (found["medquad"].title, found["medquad"].licence, found["medquad"].rows) == (
        "MedQuAD",
        "CC-BY-4.0",
        "3 of 8",
    )
    assert "Ben Abacha" in found["medquad"].credit
    assert (found["clinic"].licence, found["clinic"].credit) == ("no licence stated", "")


def test_command_writes_one_page_that_fetches_nothing(run):
    ran = CliRunner().invoke(app, ["report", str(run)])
    assert (ran.exit_code, ran.stdout) == (0, f"{run}/report.html\n")
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "How is &lt;b&gt;disease&lt;/b&gt; &amp; co 0 treated?" in text
    assert not re.search(r"<script|<link|<img|<iframe|src=|url\(|@import", text)
    assert set(re.findall(r'href="([^"]+)"', text)) == {"https://github.com/abachaa/MedQuAD"}
    assert "$0.2500" in text
    assert "The run is not finished" not in text


def test_unfinished_run_says_what_is_missing(tmp_path):
    line = [curating.source(curating.rows(3)), curating.sifting_stage()]
    curating.run_line(tmp_path / "run", line, curating.endpoint("http://127.0.0.1:1/v1"), wishes=Wishes(only="given"))
    found = content_of(view_run(tmp_path / "run"), None)
    assert found.warnings[0] == "The run is not finished, or out of date: sift (it has not been run)."
    assert [each.title for each in found.tables] == ["Rows that each stage kept"]


def test_run_that_has_written_nothing_has_a_report(tmp_path):
    with open_run(tmp_path / "run", [curating.source([])]):
        pass
    assert CliRunner().invoke(app, ["report", str(tmp_path / "run")]).exit_code == 0
    assert "it has not been run" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_stage_of_a_users_own_with_other_notes_is_only_counted(tmp_path):
    def decide(row, _):
        if row.id == "r0001":
            return Drop(row=row, reason="too_easy", note={})
        return row.noted("difficulty", "hard" if row.id == "r0000" else {"votes": "none", "difficulty": None})

    own = RowStage(name="difficulty", ask=asks_nothing, decide=decide)
    curating.run_line(
        tmp_path / "run", [curating.source(curating.rows(3)), own], curating.endpoint("http://127.0.0.1:1/v1")
    )
    assert CliRunner().invoke(app, ["report", str(tmp_path / "run")]).exit_code == 0


def test_store_somewhere_else_is_asked_for_and_not_made(tmp_path):
    with open_run(tmp_path / "run", [curating.source([])], store=f"sqlite:///{tmp_path}/far.sqlite"):
        pass
    ran = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "-o", str(tmp_path / "page.html")])
    assert ran.exit_code == 0
    assert "the response store is sqlite:///" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not (tmp_path / "far.sqlite").exists()
    assert not (tmp_path / "run" / "answers.sqlite").exists()


def test_what_is_no_run_or_broken_is_named(tmp_path, run):
    with pytest.raises(CurationError, match="holds no run of promedical-curate"):
        view_run(tmp_path)
    line = [curating.source(curating.rows(3))]
    curating.run_line(tmp_path / "run", line, curating.endpoint("http://127.0.0.1:1/v1"))
    rows = tmp_path / "run" / "stages" / "given" / "rows.parquet"
    rows.write_bytes(rows.read_bytes()[:100])
    ran = CliRunner().invoke(app, ["report", str(tmp_path / "run")])
    assert ran.exit_code == 2
    assert "rows.parquet: cannot be read as Parquet" in ran.stderr
    (tmp_path / "run" / "rounds" / "1").mkdir(parents=True)
    (tmp_path / "run" / "rounds" / "1" / "estimate.json").write_text('{"level": 1}')
    with pytest.raises(CurationError, match=r"estimate\.json: is broken"):
        content_of(view_run(tmp_path / "run"), None)
    ran = CliRunner().invoke(app, ["report", str(run), "-o", str(tmp_path / "absent" / "x" / "page.html")])
    assert ran.exit_code == 2 or (tmp_path / "absent" / "x" / "page.html").is_file()
