"""The pin on the oracle: what is sent for gateways to route by, and a call that stays with the oracle it began with."""

import itertools

import pytest
from test_client_loopback import Oracle, item, judge, on_both_transports, serving

from promedical.pins import FINGERPRINT_PIN
from promedical_client import (
    AsyncClient,
    Client,
    MixedFingerprintsError,
    MockTransport,
    RevisionMismatchError,
    judged_by,
)
from promedical_client.integrations import Grader

PIN = "0123456789abcdef0123456789abcdef"
CRITERIA = [{"id": "kind", "text": "Is kind.", "dimension": "excellence"}]


def sent(oracle):
    return [(seen.method, seen.metadata.get(FINGERPRINT_PIN)) for seen in oracle.seen]


@on_both_transports
async def test_every_call_sends_its_pin_where_gateways_can_route_by_it(transport):
    oracle = Oracle(score=judged_by(judge, fingerprint=PIN))
    with serving(oracle, transport) as url:
        async with AsyncClient(url) as client:
            await client.score([item("a")], expected_fingerprint=PIN)
            await client.score_one("Why?", ["good"], rubric_id="general", expected_fingerprint=PIN)
            await client.rank("Why?", ["good"], rubric_id="general", expected_fingerprint=PIN)
            await client.model(oracle=PIN)
            await client.rubric("general", oracle=PIN)
            await client.rubrics(oracle=PIN)
    assert [pin for _, pin in sent(oracle)] == [PIN] * 6
    assert [seen.request.expected_fingerprint for seen in oracle.seen[:3]] == [PIN] * 3


@on_both_transports
def test_synchronous_client_and_adapters_send_it_too(transport):
    oracle = Oracle(score=judged_by(judge, fingerprint=PIN))
    with serving(oracle, transport) as url:
        with Client(url) as client:
            client.score([item("a")], expected_fingerprint=PIN)
            client.model(oracle=PIN)
        grader = Grader(url, expected_fingerprint=PIN)
        grader.run(lambda: grader.graded([grader.sample("Why?", "good", {"criteria": CRITERIA})]))
        grader.close()
        with Client(url) as client:
            client.score([item("a")])
            client.model()
    assert sent(oracle) == [("score", PIN), ("model", PIN), ("score", PIN), ("score", None), ("model", None)]


@on_both_transports
@pytest.mark.parametrize(
    "pin", ["two words", "äöü", "a\r\nx-other: b", "x" * 129], ids=["blank", "umlaut", "line", "long"]
)
async def test_what_no_header_can_hold_is_in_the_request_only(transport, pin):
    oracle = Oracle(score=judged_by(judge, fingerprint=PIN))
    with serving(oracle, transport) as url:
        async with AsyncClient(url) as client:
            await client.score([item("a")], expected_fingerprint=pin)
    assert sent(oracle) == [("score", None)]
    assert oracle.seen[0].request.expected_fingerprint == pin


def split(*oracles, routed=True):
    """A gateway that hands calls to oracles in turn, and pinned ones, if it can route, to theirs."""
    turns = itertools.cycle(oracles)

    def answer(request):
        pin = request.expected_fingerprint
        oracle = pin if routed and pin in oracles else next(turns)
        if pin not in {None, oracle}:
            raise RevisionMismatchError(f"expected_fingerprint is not {oracle}")
        return judged_by(judge, fingerprint=oracle)(request)

    return MockTransport(score=answer)


async def test_call_of_many_parts_stays_with_the_oracle_that_answered_first():
    transport, kept = split("f1", "f2"), []
    items = [item(str(n)) for n in range(300)]
    async with AsyncClient(transport=transport) as client:
        answer = await client.score(items, on_outcomes=kept.extend)
    assert answer.model.fingerprint == "f1"
    assert [outcome.id for outcome in answer.items] == [one.id for one in items]
    assert sorted(outcome.id for outcome in kept) == sorted(one.id for one in items)
    pins = [request.expected_fingerprint for request in transport.calls]
    assert None in pins
    assert {*pins} == {None, "f1"}


async def test_call_that_cannot_stay_with_its_oracle_says_so_and_keeps_what_was_answered():
    async with AsyncClient(transport=split("f1", "f2", routed=False), max_in_flight=1) as client:
        with pytest.raises(MixedFingerprintsError, match="oracle f1 and then by another") as caught:
            await client.score([item(str(n)) for n in range(130)])
    assert [outcome.id for outcome in caught.value.partial] == [str(n) for n in range(64)]


async def test_callers_own_pin_is_refused_in_the_words_of_the_service():
    async with AsyncClient(transport=split("f2", routed=False)) as client:
        with pytest.raises(RevisionMismatchError, match="expected_fingerprint is not f2") as caught:
            await client.score([item(str(n)) for n in range(130)], expected_fingerprint="f1")
    assert not isinstance(caught.value, MixedFingerprintsError)
