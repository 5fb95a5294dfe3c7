"""The mock answers as the service does where it can, and refuses what it cannot know."""

import pytest
from test_client_loopback import item, judge

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical_client import AsyncClient, MockTransport, judged_by


async def outcome_of(asked):
    client = AsyncClient(transport=MockTransport(score=judged_by(judge)))
    return (await client.score([asked])).items[0]


@pytest.mark.parametrize("asked", [item("a", rubric=None, rubric_id="general"), item("a", base_rubric_id="vetoes")])
async def test_a_rubric_by_name_is_refused_alone_and_beside_criteria(asked):
    outcome = await outcome_of(asked)
    assert outcome.error.code is ErrorCode.INVALID_ITEM
    assert outcome.result is None


async def test_a_blank_response_is_no_response_and_its_siblings_are_scored():
    result = (await outcome_of(item("a", "bad", " \u2060\n", "good"))).result
    assert [each.error and each.error.code for each in result.responses] == [None, ErrorCode.EMPTY_RESPONSE, None]
    assert result.ranking == ((2,), (0,))
    assert [each.scores and each.scores.rank for each in result.responses] == [2, None, 1]


async def test_ties_of_verdicts_are_broken_by_the_expected_reward():
    oracle = judged_by(lambda response, _: {"likely": 0.7, "sure": 0.9, "as likely": 0.7}[response])
    client = AsyncClient(transport=MockTransport(score=oracle))
    spec = m.RubricSpec(criteria=(m.CriterionSpec(id="c", text="Is right.", dimension="proficiency"),))
    ranked = await client.rank("a question", ("likely", "sure", "as likely"), rubric=spec)
    assert ranked.result.ranking == ((1,), (0, 2))
    scores = [each.scores for each in ranked.result.responses]
    assert [(each.reward, each.expected_reward) for each in scores] == [(1.0, 0.7), (1.0, 0.9), (1.0, 0.7)]


async def test_blank_responses_alone_are_not_ranked():
    result = (await outcome_of(item("a", "", " "))).result
    assert result.ranking == ()
    assert {each.error.code for each in result.responses} == {ErrorCode.EMPTY_RESPONSE}
