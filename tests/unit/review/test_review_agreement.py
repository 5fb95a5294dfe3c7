"""The agreement of raters: before adjudication, by checkpoint and by statement, and K-QA's published figures."""

import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from promedical_data.errors import DataError
from promedical_review.agreement.report import report_of
from promedical_review.agreement.verdicts import claims_of, pairs_of, verdicts_of
from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.rated import GivenVerdict, Rated, RatedItem, RatedSets
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets, Design
from promedical_review.errors import InvalidError
from promedical_review.formats.published import kqa, labelled
from promedical_review.store.events import history
from reviewing import adjudication, bench_item, rating, rows_in, user, uuid4

DATA = Path(os.environ.get("PROMEDICAL_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
KQA = DATA / "sources" / "kqa" / "NLI_medical_annotator.csv"
HEALTHBENCH = DATA / "criteria" / "dev.jsonl.gz"
CHECKPOINTS = [("a0", "dose"), ("a0", "harm")]


def given(*verdicts):
    return {place: GivenVerdict(verdict=each) for place, each in zip(CHECKPOINTS, verdicts, strict=True)}


def add(database, clock, rows, **kinds):
    """A set in which each row is an item: by rater, the verdicts about the dose and the harm."""
    items = [
        RatedItem(item=bench_item(f"i{n}", answers=1), verdicts={who: given(*said) for who, said in row.items()})
        for n, row in enumerate(rows)
    ]
    raters = {who: kinds.get(who, "physician") for row in rows for who in row}
    return RatedSets(database, clock).add("given", Rated(raters=raters, items=items), actor="root")


ROWS = [
    {"ada": ("met", "not_met"), "ben": ("met", "not_met")},
    {"ada": ("met", "not_met"), "ben": ("not_met", "not_met")},
    {"ada": ("not_met", "met"), "ben": ("not_met", "met")},
    {"ada": ("met", "not_met"), "ben": ("met", "not_met")},
]


def test_agreement_is_that_of_what_raters_said(database, clock):
    made = add(database, clock, ROWS)

    (overall, *parts) = report_of(database, made.id, replicates=50).physicians

    said = [(first, second) for row in ROWS for first, second in zip(*row.values(), strict=True)]
    kappa = cohen_kappa_score(*zip(*said, strict=True))
    assert (overall.pairs, overall.items) == (8, 4)
    assert overall.measures["raw_agreement"].value == pytest.approx(7 / 8)
    assert overall.measures["kappa"].value == pytest.approx(kappa)
    assert overall.measures["raw_agreement"].low < 7 / 8
    assert overall.met == pytest.approx(sum(pair.count("met") for pair in said) / 16)
    safety = next(row for row in parts if (row.by, row.part) == ("dimension", "safety"))
    assert safety.measures["raw_agreement"].value == 1
    assert {row.by for row in parts} == {"dimension", "raters"}


def test_kappa_collapses_where_vetoes_are_rare_and_ac1_does_not(sqlite, clock):
    same = [{"ada": ("met", "not_met"), "ben": ("met", "not_met")}] * 18
    apart = [{"ada": ("met", "met"), "ben": ("met", "not_met")}, {"ada": ("met", "not_met"), "ben": ("met", "met")}]
    rows = report_of(sqlite, add(sqlite, clock, same + apart).id, replicates=10).physicians

    safety = next(row for row in rows if row.part == "safety")
    assert safety.measures["kappa"].value < 0
    assert safety.measures["gwet_ac1"].value > 0.85
    assert safety.met == pytest.approx(0.05)


def test_cannot_assess_lies_between_and_brings_weights(sqlite, clock):
    rows = [*ROWS, {"ada": ("cannot_assess", "not_met"), "ben": ("met", "not_met")}]
    report = report_of(sqlite, add(sqlite, clock, rows).id, replicates=10)

    measures = report.physicians[0].measures
    assert {"kappa_linear", "kappa_quadratic"} <= measures.keys()
    assert measures["kappa_quadratic"].value > measures["kappa"].value
    assert report.cannot_assess == pytest.approx(1 / 20)


def test_judges_are_measured_against_physicians_and_never_among_them(sqlite, clock):
    rows = [{**row, "gpt": ("met", "met")} for row in ROWS]
    report = report_of(sqlite, add(sqlite, clock, rows, gpt="judge").id, replicates=10)

    assert report.physicians[0].pairs == 8
    assert report.judges[0].pairs == 16
    agreeing = sum(verdict == "met" for row in ROWS for who in ("ada", "ben") for verdict in row[who])
    assert report.judges[0].measures["raw_agreement"].value == pytest.approx(agreeing / 16)
    assert len(report.consistency) == 2


def test_adjudication_changes_no_agreement(sqlite, clock):
    sets, rates, judges = BenchSets(sqlite, clock), Rating(sqlite, clock), Adjudicating(sqlite, clock)
    made = sets.add("bench", [bench_item("i0"), bench_item("i1")], Design(overlap=0, repeats=0, golds=0), actor="root")
    sets.open(made.id, actor="root")
    for name, verdict in [("ada", "met"), ("ben", "not_met")]:
        who = user(sqlite, name)
        while item := rates.take(who):
            rates.rate(who, item.task_id, rating(item, verdict), client_id=uuid4(), version=0)
    before = report_of(sqlite, made.id, replicates=10)
    eve = user(sqlite, "eve", "adjudicator")
    while work := judges.take(eve):
        judges.decide(eve, work.item.task_id, adjudication(work), client_id=uuid4(), version=0)

    assert report_of(sqlite, made.id, replicates=10) == before
    assert before.physicians[0].measures["raw_agreement"].value == 0


def test_gold_and_repeats_measure_each_rater_and_no_pair(sqlite, clock):
    sets, rates = BenchSets(sqlite, clock), Rating(sqlite, clock)
    gold = bench_item("gold", gold={("a0", "dose"): "met", ("a0", "harm"): "not_met"})
    items = [gold, *[bench_item(f"i{n}", answers=1) for n in range(40)]]
    made = sets.add("bench", items, Design(overlap=0, repeats=0.25, golds=0.25), actor="root")
    sets.open(made.id, actor="root")
    ada = user(sqlite, "ada")
    while item := rates.take(ada):
        rates.rate(ada, item.task_id, rating(item), client_id=uuid4(), version=0)

    report = report_of(sqlite, made.id, replicates=10)

    (mine,) = report.consistency
    assert (mine.golds, mine.gold_agreement) == (2, 0.5)
    assert mine.repeats >= 4
    assert mine.repeat_agreement == 1
    assert report.physicians == []


def test_statements_need_both_sides(sqlite, clock):
    item = bench_item("i0", answers=1, claims={"dose": "x", "harm": "x"})
    rated = [
        RatedItem(item=item, verdicts={"ada": given("met", "not_met"), "ben": given("not_met", "met")}),
    ]
    made = RatedSets(sqlite, clock).add(
        "claims", Rated(raters=dict.fromkeys(["ada", "ben"], "physician"), items=rated), actor="root"
    )

    claims = claims_of(pairs_of(verdicts_of(sqlite, made.id)))

    assert sorted(claims[["first", "second"]].iloc[0]) == [0, 2]
    assert claims_of(pairs_of(verdicts_of(sqlite, add(sqlite, clock, ROWS).id))).empty


def test_majority_of_a_files_physicians_is_final_and_a_tie_stays_open(sqlite, clock):
    rows = [
        {"ada": ("met", "met"), "ben": ("met", "not_met"), "cat": ("met", "met")},
        {"ada": ("met", "met"), "ben": ("met", "not_met")},
    ]
    made = add(sqlite, clock, rows)

    assert made.items == {"locked": 1, "adjudicating": 1}
    assert sorted(row["origin"] for row in rows_in(sqlite, "finals")) == ["agreed", "agreed", "majority"]
    assert sum(event.kind == "rating_imported" for event in sqlite.read(history)) == 5
    assert made.state == "closed"


def test_imported_raters_never_sign_in(sqlite, clock):
    add(sqlite, clock, [{"ada": ("met", "met"), "gpt": ("met", "met")}], gpt="judge")

    assert [(row["active"], row["password"]) for row in rows_in(sqlite, "users")] == [(False, None)] * 2
    assert {row["role"] for row in rows_in(sqlite, "users")} == {"physician", "judge"}


@pytest.mark.parametrize(
    "verdicts",
    [{"eve": given("met", "met")}, {"ada": {}}, {"ada": {("a9", "dose"): GivenVerdict(verdict="met")}}],
    ids=["unlisted rater", "nothing", "no checkpoint"],
)
def test_verdicts_about_nothing_import_nothing(sqlite, clock, verdicts):
    rated = [RatedItem(item=bench_item("i0", answers=1), verdicts=verdicts)]

    with pytest.raises(InvalidError, match="verdicts"):
        RatedSets(sqlite, clock).add("broken", Rated(raters={"ada": "physician"}, items=rated), actor="root")
    assert rows_in(sqlite, "bench_sets") == rows_in(sqlite, "users") == []


@pytest.mark.skipif(not KQA.is_file(), reason="PROMEDICAL_DATA holds no sources/kqa")
def test_agreement_of_kqas_physicians_is_the_published_one(sqlite, clock):
    """Raw agreement .83 to .88 and kappa .67 to .76 of pairs of physicians, by statement (K-QA, arXiv 2401.14493)."""
    published = kqa(KQA)
    made = RatedSets(sqlite, clock).add("K-QA", published, actor="root")

    report = report_of(sqlite, made.id, replicates=5)

    overall, *by_pair = report.claims
    frame = pd.read_csv(KQA)
    votes = ["label_0", "label_1", "label_2"]
    expected = sorted(cohen_kappa_score(frame[a], frame[b]) for a, b in combinations(votes, 2))
    assert overall.pairs == 3 * 399
    assert sorted(row.measures["kappa"].value for row in by_pair) == pytest.approx(expected)
    assert [f"{value:.2f}" for value in expected] == ["0.67", "0.73", "0.76"]
    raw = sorted(row.measures["raw_agreement"].value for row in by_pair)
    assert raw[0] == pytest.approx(0.83, abs=0.006)
    assert raw[-1] == pytest.approx(0.88, abs=0.006)
    assert report.judges == []


@pytest.mark.skipif(not HEALTHBENCH.is_file(), reason="PROMEDICAL_DATA holds no criteria")
def test_healthbench_labels_of_a_model_are_a_judges(sqlite, clock):
    published = labelled(HEALTHBENCH)

    assert set(published.raters.values()) == {"judge"}
    assert len(published.items) > 100
    made = RatedSets(sqlite, clock).add("HealthBench", replace(published, items=published.items[:5]), actor="root")
    assert rows_in(sqlite, "finals") == []
    assert made.items == {"rating": 5}
    assert report_of(sqlite, made.id, replicates=5).physicians == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("Neutral,Neutral,Neutral", "Neutral,Perhaps,Neutral"), r":2: a physician's label"),
        (lambda text: text.replace("Must_have", "Could_have"), r":2: category_x: is none of"),
        (lambda text: text.splitlines()[0], "holds no rows"),
        (lambda _: "a,b\n1,2\n", r":2: "),
    ],
    ids=["label", "category", "empty", "other"],
)
def test_broken_rows_of_kqa_are_refused_by_line(tmp_path, change, said):
    head = ",Question,llm_x,answer,claim,category_x,majority_label,label_0,label_1,label_2\n"
    path = tmp_path / "labels.csv"
    path.write_text(change(head + "0,What is it?,gpt,It is a drug,A drug,Must_have,Neutral,Neutral,Neutral,Neutral\n"))

    with pytest.raises(DataError, match=said):
        kqa(path)
