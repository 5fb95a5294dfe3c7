"""The real examples that come with the app."""

from promedical_review.agreement.report import report_of
from promedical_review.bench_items.rated import RatedSets
from promedical_review.bench_items.sets import BenchSets
from promedical_review.demo.examples import FOLDER, bench_examples, rated_examples


def test_examples_can_be_rated_and_show_agreement(sqlite, clock):
    items = bench_examples()
    made = BenchSets(sqlite, clock).add("examples", items, actor="root")
    rated = RatedSets(sqlite, clock).add("K-QA", rated_examples(), actor="root")

    assert made.items == {"gold": 1, "rating": len(items) - 1}
    assert all(len(item.answers) * len(item.criteria) <= 8 for item in items)
    assert len(report_of(sqlite, rated.id, replicates=5).claims) == 4


def test_examples_name_their_licence():
    notice = (FOLDER / "NOTICE.md").read_text(encoding="utf-8")

    assert "Copyright (c) 2023 Itay Manes" in notice
    assert "Permission is hereby granted, free of charge" in notice
