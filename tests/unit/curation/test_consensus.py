"""Labels from judges' votes: quotes must be there, and a judge is believed as far as it has earned it."""

import numpy as np
import pytest

from promedical_curation.labels import consensus as module
from promedical_curation.labels.consensus import Vote, consensus, decided
from promedical_curation.labels.evidence import is_quoted

RESPONSE = "You should **not** take “ibuprofen” with warfarin — it raises the risk\nof bleeding. Call your doctor."


@pytest.mark.parametrize(
    "quote",
    [
        "it raises the risk of bleeding",
        "You should not take 'ibuprofen' with warfarin",
        "YOU SHOULD NOT TAKE",
        "with warfarin - it raises",
        '"Call your doctor."',
        "You should not take ... risk of bleeding",
        "not take […] call your doctor".replace("[…]", "…"),
    ],
)
def test_quote_is_found_whatever_its_typography(quote):
    assert is_quoted(quote, RESPONSE)


@pytest.mark.parametrize(
    "quote",
    [
        "You should take ibuprofen with warfarin",
        "it lowers the risk of bleeding",
        "Call your doctor ... with warfarin",
        "",
        "...",
        "it",
        "raises the risk of bleeding. Call your nurse.",
    ],
)
def test_quote_that_is_not_there_is_no_evidence(quote):
    assert not is_quoted(quote, RESPONSE)


def votes_of(truth, *, accuracies, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Vote(label=label, judge=judge, met=met if rng.random() < accuracy else not met)
        for label, met in truth.items()
        for judge, accuracy in accuracies.items()
    ]


@pytest.fixture
def truth():
    rng = np.random.default_rng(1)
    return {f"r{n}": bool(rng.random() < 0.4) for n in range(600)}


def right(probabilities, truth):
    return np.mean([(probabilities[label] >= 0.5) is truth[label] for label in truth])


def test_consensus_beats_the_majority_where_judges_differ(truth):
    votes = votes_of(truth, accuracies={"good": 0.95, "poor": 0.55, "poorer": 0.55})
    majority = {label: np.mean([vote.met for vote in votes if vote.label == label]) for label in truth}

    assert right(consensus(votes, {}), truth) > right(majority, truth) + 0.1


def test_consensus_learns_from_golds_which_of_two_judges_to_believe(truth):
    votes = votes_of(truth, accuracies={"good": 0.95, "contrary": 0.1})
    golds = {label: truth[label] for label in list(truth)[:60]}

    anchored = consensus(votes, golds)

    assert right(anchored, truth) > 0.93
    assert all(anchored[label] == float(met) for label, met in golds.items())


def test_consensus_does_not_depend_on_the_order_of_votes(truth):
    votes = votes_of(truth, accuracies={"a": 0.8, "b": 0.8})

    assert consensus(reversed(votes), {}) == pytest.approx(consensus(votes, {}))


def test_consensus_says_nothing_about_what_nobody_could_assess():
    votes = [Vote(label="seen", judge="a", met=True), Vote(label="unseen", judge="a", met=None)]

    assert consensus(votes, {}).keys() == {"seen"}
    assert consensus([votes[1]], {"gold": False}) == {"gold": 0.0}
    assert consensus([], {}) == {}


@pytest.mark.parametrize("met", [True, False])
def test_consensus_of_votes_of_one_kind_leans_that_way(met):
    found = consensus([Vote(label=str(n), judge="a", met=met) for n in range(3)], {})

    assert all(abs(probability - met) < 0.1 for probability in found.values())


@pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword")
@pytest.mark.parametrize("anchors", [0, 100])
def test_consensus_without_its_credit_is_that_of_crowd_kit(truth, anchors, monkeypatch):
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    votes = votes_of(truth, accuracies={"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6})
    golds = {label: truth[label] for label in list(truth)[:anchors]}
    frame = pd.DataFrame([{"task": vote.label, "worker": vote.judge, "label": vote.met} for vote in votes])
    theirs = DawidSkene(n_iter=1000, tol=1e-9).fit(frame, true_labels=pd.Series(golds, dtype=bool) if golds else None)

    monkeypatch.setattr(module, "_RIGHT", 1e-9)
    monkeypatch.setattr(module, "_WRONG", 1e-9)
    monkeypatch.setattr(module, "_MOST_ITERATIONS", 1000)
    ours = consensus(votes, golds)

    assert [ours[label] for label in theirs.probas_.index] == pytest.approx(list(theirs.probas_[True]), abs=1e-3)


def test_labels_that_are_not_sure_enough_are_left_out():
    assert decided({"yes": 0.95, "no": 0.02, "unsure": 0.6}, least=0.9) == {"yes": True, "no": False}
    assert decided({"half": 0.5}, least=0.5) == {"half": True}
