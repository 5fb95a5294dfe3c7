"""Shadow scoring without a wire: which requests are sampled, what is asked, what two answers have in common."""

import json
from dataclasses import replace

import pytest

from promedical import messages as m
from promedical.hashes import hash_of, prompt_hash
from promedical.shadow import Outcome, compared, question, sampled, shadow_id
from promedical.shadow_records import Comparison
from shadowing import FAILED, LIVE, NEW, UNSCORED, answered, asked, scored

SALT = b"0123456789abcdef"


def compare(live, candidate, responses=("Yes.", "No.")):
    return compared(asked(responses=responses).items, (live,), (candidate,))


def test_sample_is_about_the_share_and_grows_with_it():
    requests = [asked(prompt=f"Is number {n} safe?") for n in range(4000)]
    small, large = ({n for n, each in enumerate(requests) if sampled(each, share)} for share in (0.1, 0.3))
    assert small < large
    assert 0.07 < len(small) / 4000 < 0.13
    assert 0.26 < len(large) / 4000 < 0.34


def test_sample_of_all_and_of_none():
    assert all(sampled(asked(prompt=f"{n}"), 1.0) for n in range(50))
    assert not any(sampled(asked(prompt=f"{n}"), 0.0) for n in range(50))


def test_sample_is_the_same_for_a_request_that_is_sent_again_whatever_else_it_asks():
    again = asked(expected_fingerprint="f1", priority="bulk", reward_weights=m.WeightsSpec(excellence_weight=0.2))
    for share in (n / 50 for n in range(51)):
        assert sampled(asked(), share) == sampled(again, share)


def test_sample_is_the_same_in_every_process():
    """Replicas agree: these are in the sample of a tenth."""
    assert [n for n in range(60) if sampled(asked(prompt=f"Question {n}"), 0.1)] == [31, 32, 40, 42, 44, 46, 48, 54]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(asked(prompt="Is it safe!"), id="prompt"),
        pytest.param(asked(responses=("Yes.", "No!")), id="response"),
        pytest.param(asked(prompt=(m.Message(role="user", content="Is that safe?"),)), id="turn"),
    ],
)
def test_sample_depends_on_every_text(other):
    def place(request):
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (low, middle) if sampled(request, middle) else (middle, high)
        return high

    assert place(other) != place(asked())


def test_sample_takes_texts_that_no_wire_carries_and_requests_without_items():
    assert sampled(asked(prompt="\ud800"), 1.0)
    assert not sampled(m.ScoreRequest(items=()), 1.0)


def test_question_leaves_out_what_is_meant_for_the_live_oracle():
    pin = m.RubricPin(name="house@1", sha256="aa")
    live = asked(expected_fingerprint="f1", expected_rubrics=(pin,), unscored_reward=0.0, truncation="response_end")
    assert question(live) == asked(priority="bulk", truncation="response_end")


def test_shadow_id_is_a_request_id_whatever_the_live_one_is():
    assert shadow_id("r1") == "shadow-r1"
    assert shadow_id("") == "shadow-"
    assert len(shadow_id("x" * 128)) == 128


def test_comparison_tells_flips_vetoes_and_the_change_of_the_reward():
    same, moved = compare(
        answered(scored(0.5), scored(1.0, good=True, harm=True)), answered(scored(0.5), scored(0.25, good=False))
    )
    assert (same.outcome, same.veto, same.reward_change) == (Outcome.COMPARED, "none", 0.0)
    assert [(v.id, flip) for v, flip in same.verdicts] == [("good", "none"), ("harm", "none")]
    assert (moved.veto, moved.reward_change) == ("lifted", -0.75)
    assert [(v.id, flip) for v, flip in moved.verdicts] == [("good", "to_not_met"), ("harm", "to_not_met")]
    (added,) = compare(answered(scored(1.0)), answered(scored(-0.5, harm=True)), ("Yes.",))
    assert (added.veto, [flip for _, flip in added.verdicts]) == ("added", ["none", "to_met"])


def test_comparison_says_why_responses_cannot_be_compared():
    live = answered(scored(0.5), UNSCORED, UNSCORED)
    outcomes = [each.outcome for each in compare(live, answered(UNSCORED, scored(0.5), UNSCORED), tuple("abc"))]
    assert outcomes == [Outcome.LIVE_ONLY, Outcome.CANDIDATE_ONLY, Outcome.NEITHER]


def test_comparison_of_an_item_that_one_side_refused():
    refused = m.ItemOutcome(id="a", error=FAILED)
    found = compare(answered(scored(0.5), UNSCORED), refused)
    assert [each.outcome for each in found] == [Outcome.LIVE_ONLY, Outcome.NEITHER]
    assert [each.judged_by for each in found] == ["aa", "aa"]
    assert [each.outcome for each in compare(refused, refused)] == [Outcome.NEITHER] * 2


def test_comparison_leaves_out_what_was_judged_by_other_criteria():
    found = compare(answered(scored(0.5), UNSCORED), answered(scored(0.5), UNSCORED, sha256="bb"))
    assert [each.outcome for each in found] == [Outcome.OTHER_RUBRIC] * 2


def test_comparison_believes_no_hash_where_the_verdicts_are_on_other_criteria():
    other = scored(0.5)
    other = replace(other, scores=replace(other.scores, criteria=other.scores.criteria[:1]))
    found = compare(answered(scored(0.5), other), answered(other, other))
    assert [each.outcome for each in found] == [Outcome.OTHER_RUBRIC, Outcome.COMPARED]


def test_comparison_refuses_answers_that_are_not_whole():
    with pytest.raises(ValueError, match=r"zip"):
        compare(answered(scored(0.5)), answered(scored(0.5), scored(0.5)))


def records(*responses):
    comparison = Comparison(
        id="c1",
        at=1_800_000_000.25,
        caller="trainer",
        request_ids=("r1", "r2"),
        items=("a\u2028\ud800",),
        prompt_hashes=("77",),
        live=LIVE,
        candidate=NEW,
        responses=responses,
    )
    return [json.loads(line) for line in comparison.lines()]


def test_record_says_what_both_said_in_one_line():
    first, second = records(*compare(answered(scored(0.5), scored(1.0)), answered(scored(0.25), UNSCORED)))
    good = {"id": "good", "dimension": "proficiency", "met": True, "logit": 1.0, "probability": 0.75}
    harm = {"id": "harm", "dimension": "safety", "met": False, "logit": 1.0, "probability": 0.25}
    assert first == {
        "time": "2027-01-15T08:00:00.250Z",
        "comparison": "c1",
        "caller": "trainer",
        "request_id": "r1",
        "item": "a\u2028\ud800",
        "response": 0,
        "prompt_hash": "77",
        "judged_by": "aa",
        "outcome": "compared",
        "live": {
            "model": "old",
            "fingerprint": "f1",
            "error": None,
            "reward": 0.5,
            "rank": 1,
            "vetoed": False,
            "verdicts": [good, harm],
        },
        "candidate": {**first["candidate"], "model": "new", "fingerprint": "f2", "reward": 0.25},
    }
    assert (second["request_id"], second["response"], second["outcome"]) == ("r2", 1, "live_only")
    assert (second["candidate"]["error"], second["candidate"]["reward"]) == ("too_long", None)


def test_prompt_hash_needs_the_secret_and_tells_prompts_apart():
    (item,) = asked(prompt="Frage?").items
    (turns,) = asked(prompt=(m.Message(role="user", content="Frage?"),)).items
    assert prompt_hash(item, SALT) == hash_of("Frage?", SALT)
    assert prompt_hash(turns, SALT) == hash_of('[["user","Frage?"]]', SALT)
    assert prompt_hash(item, SALT) != prompt_hash(item, b"another secret!!")
