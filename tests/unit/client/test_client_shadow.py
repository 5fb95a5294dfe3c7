"""A client that asks a candidate too: callers hear the live oracle only, at once, whatever the candidate does."""

import asyncio
import json
from dataclasses import replace

import pytest

from promedical import messages as m
from promedical_client import AsyncClient, Client, DeadlineError, MisconfiguredError, MockTransport, Shadow, judged_by
from promedical_client.shadow import summary
from shadowing import LIVE, NEW

CANARY = "Kanarienvogel"
RUBRIC = m.RubricSpec(criteria=(m.CriterionSpec(id="harm", text=f"Harms, {CANARY}.", dimension="safety"),))
LONG_S = 60


def items(count=1):
    return [
        m.ScoreItem(id=f"i{n}", prompt=f"Question {n}, {CANARY}?", responses=(CANARY, "No."), rubric=RUBRIC)
        for n in range(count)
    ]


def oracle(probability, model):
    """One that gives every criterion this probability."""
    answer = judged_by(lambda response, criterion: probability)
    return MockTransport(score=lambda request: replace(answer(request), model=model))


def shadow_over(candidate, **changes):
    return Shadow("grpc://candidate:1", transport=candidate, **({"share": 1.0} | changes))


def client_with(shadow):
    return AsyncClient(transport=oracle(0.2, LIVE), shadow=shadow)


class Hanging(MockTransport):
    """A candidate that answers when it may; it counts what was asked and what was cancelled."""

    def __init__(self):
        super().__init__()
        self.may, self.asked, self.cancelled = asyncio.Event(), 0, 0

    async def score(self, request, call):
        self.asked += 1
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await oracle(0.9, NEW).score(request, call)


async def until(condition):
    async with asyncio.timeout(LONG_S):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no event
            await asyncio.sleep(0.001)


async def test_client_hears_the_live_oracle_and_compares(tmp_path, caplog):
    caplog.set_level("INFO", "promedical.shadow")
    found = []
    shadow = shadow_over(oracle(0.9, NEW), file=tmp_path / "s", on_comparison=found.append)
    async with client_with(shadow) as client:
        answer = await client.score(items())
        ranked = await client.rank("Which?", ("a", "b"), rubric=RUBRIC)
        await until(lambda: shadow.counts["compared"] == 2)
    assert answer.model == ranked.model == LIVE
    assert not answer.items[0].result.responses[0].scores.vetoed
    assert [(each.live, each.candidate, len(each.responses)) for each in found] == [(LIVE, NEW, 2)] * 2
    assert {response.veto for each in found for response in each.responses} == {"added"}
    records = [json.loads(line) for line in (tmp_path / "s").read_text().splitlines()]
    assert len(records) == 4
    assert CANARY not in (tmp_path / "s").read_text() + caplog.text
    assert caplog.records[0].message == summary(found[0])


async def test_client_asks_the_candidate_without_pins_in_the_bulk_lane():
    candidate = oracle(0.9, NEW)
    shadow = shadow_over(candidate)
    async with client_with(shadow) as client:
        await client.score(items(), expected_fingerprint=LIVE.fingerprint, priority="interactive")
        await until(lambda: shadow.counts["compared"] == 1)
    (asked,) = candidate.calls
    assert (asked.expected_fingerprint, asked.priority) == (None, "bulk")


async def test_client_is_answered_while_the_candidate_hangs_and_drops_what_is_too_much():
    candidate = Hanging()
    shadow = shadow_over(candidate, max_in_flight=2)
    async with client_with(shadow) as client:
        for each in items(5):
            await client.score([each])
        await until(lambda: candidate.asked == 2)
        assert dict(shadow.counts) == {"sampled": 5, "dropped": 3}
        candidate.may.set()
        await until(lambda: shadow.counts["compared"] == 2)
        await client.score(items())
        await until(lambda: shadow.counts["compared"] == 3)


async def test_client_that_closes_cancels_what_the_candidate_has():
    candidate = Hanging()
    async with client_with(shadow_over(candidate)) as client:
        await client.score(items())
        await until(lambda: candidate.asked == 1)
    assert candidate.cancelled == 1


async def test_candidate_that_fails_is_counted_and_said_once_without_text(caplog):
    def fail(request):
        raise DeadlineError(CANARY)

    shadow = shadow_over(MockTransport(score=fail))
    async with client_with(shadow) as client:
        for number in (1, 2, 3):
            assert (await client.score(items())).items[0].result is not None
            await until(lambda number=number: shadow.counts["failed"] == number)
    assert [record.message for record in caplog.records] == ["the candidate does not answer: deadline"]


async def test_candidate_whose_answer_is_not_whole_is_counted_as_failed():
    def half(request):
        return replace(judged_by(lambda *_: 0.5)(request), items=())

    shadow = shadow_over(MockTransport(score=half))
    async with client_with(shadow) as client:
        await client.score(items())
        await until(lambda: shadow.counts["failed"] == 1)


async def test_file_that_cannot_be_written_is_said_and_fails_nothing(tmp_path, caplog):
    shadow = shadow_over(oracle(0.9, NEW), file=tmp_path / "none" / "s")
    async with client_with(shadow) as client:
        await client.score(items())
        await until(lambda: shadow.counts["compared"] == 1)
    assert "cannot be written: No such file" in caplog.text


async def test_share_of_none_asks_nobody():
    candidate = oracle(0.9, NEW)
    shadow = shadow_over(candidate, share=0.0)
    async with client_with(shadow) as client:
        for each in items(10):
            await client.score([each])
    assert (candidate.calls, dict(shadow.counts)) == ([], {})


def test_synchronous_client_has_a_shadow_too():
    shadow = shadow_over(oracle(0.9, NEW))
    with Client(transport=oracle(0.2, LIVE), shadow=shadow) as client:
        for each in items(3):
            assert client.score([each]).model == LIVE
        assert shadow.counts["sampled"] == 3
        asyncio.run(until(lambda: shadow.counts["compared"] == 3))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"share is .*; expected a number from 0 to 1"):
        Shadow("grpc://candidate:1", share=share)


def test_candidate_without_an_address_is_refused():
    with pytest.raises(MisconfiguredError, match="url is"):
        Shadow("candidate")
