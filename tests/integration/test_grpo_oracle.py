"""The oracle of a GRPO run: who it is, what it may not become, and what its failures are to the trainer."""

import asyncio
import functools
import json
import logging
import time
from collections import Counter

import pytest
from test_integrations import calculated
from typer.testing import CliRunner

import gated
from balancing import balanced
from policies import CANARY, write_prompts
from promedical_client import InternalError, MockTransport, UnauthenticatedError, UnavailableError, judged_by
from promedical_client.address import Address
from promedical_client.errors import TooLargeError
from promedical_client.integrations import Grader
from promedical_client.integrations.trl import trl_reward
from promedical_trainer.cli import app
from promedical_trainer.grpo.oracle import OracleError, OracleUnreachableError, pin_oracle
from promedical_trainer.grpo.recipe import Oracle
from promedical_trainer.grpo.reward import Failures, oracle_reward
from serving import RunningServer, running_server

QUICK = Oracle(start_timeout_s=1.0)
RUBRIC = json.dumps([{"id": "limit", "text": "Names a limit.", "dimension": "proficiency"}])


def test_oracle_is_written_down_and_is_the_same_when_the_run_goes_on(fake_server, tmp_path):
    pin = pin_oracle(tmp_path, Address(fake_server.grpc_url), QUICK, allow_fake=True)
    assert json.loads((tmp_path / "oracle.json").read_text())["fingerprint"] == pin.fingerprint
    assert pin_oracle(tmp_path, Address(fake_server.rest_url), QUICK, allow_fake=True) == pin


def test_oracle_with_another_fingerprint_is_refused_when_the_run_goes_on(fake_server, tmp_path):
    address = Address(fake_server.grpc_url)
    pin_oracle(tmp_path, address, QUICK, allow_fake=True)
    began = json.loads((tmp_path / "oracle.json").read_text())
    (tmp_path / "oracle.json").write_text(json.dumps(began | {"fingerprint": "f" * 32}))
    with pytest.raises(OracleError, match=f"this run began with fake, fingerprint {'f' * 32}"):
        pin_oracle(tmp_path, address, QUICK, allow_fake=True)


def test_oracle_of_the_fake_engine_is_refused_unless_told(fake_server, tmp_path):
    with pytest.raises(OracleError, match=r"fake engine.*--allow-fake"):
        pin_oracle(tmp_path, Address(fake_server.grpc_url), QUICK)
    assert not (tmp_path / "oracle.json").exists()


@pytest.mark.parametrize("url", ["grpc://127.0.0.1:1", "http://127.0.0.1:1"])
def test_oracle_that_nobody_serves_is_unreachable(tmp_path, url):
    with pytest.raises(OracleUnreachableError, match=f"{url}: cannot be reached within 1 s"):
        pin_oracle(tmp_path, Address(url), QUICK)


def test_oracle_whose_authorities_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(OracleError, match=r"grpcs://127.0.0.1:1: .*no\.pem"):
        pin_oracle(tmp_path, Address("grpcs://127.0.0.1:1", ca_file=tmp_path / "no.pem"), QUICK)


def test_command_refuses_an_address_that_makes_no_sense_and_exits_with_2(tmp_path):
    done = CliRunner().invoke(app, ["grpo", "--recipe=grpo-tiny", "--oracle=ftp://nowhere", f"--output={tmp_path}"])
    assert done.exit_code == 2
    assert "error: url is 'ftp://nowhere'; expected grpc://HOST:PORT" in " ".join(done.stderr.split())


def test_command_says_that_the_oracle_cannot_be_reached_and_exits_with_3(tmp_path):
    from accelerate import PartialState

    data = write_prompts(tmp_path / "data")
    words = [
        "grpo",
        "--recipe=grpo-tiny",
        "--oracle=grpc://127.0.0.1:1",
        f"--data={data}",
        f"--output={tmp_path / 'o'}",
    ]
    try:
        done = CliRunner().invoke(app, [*words, "--set", "oracle.start_timeout_s=1"])
    finally:
        PartialState._reset_state()
    assert done.exit_code == 3
    assert "cannot be reached within 1 s" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("error", "hopeless"),
    [
        (UnavailableError("gone", retryable=False), False),
        (InternalError("bug"), False),
        (UnauthenticatedError("no"), True),
    ],
)
def test_reward_of_a_call_that_was_not_answered_is_none_for_all_and_raises_nothing(error, hopeless):
    def refuse(_):
        raise error

    failures = Failures()
    reward = oracle_reward(Grader("mock://", transport=MockTransport(score=refuse)), failures)
    columns = {"rubric": [RUBRIC] * 2, "prompt_id": ["p", "p"]}
    told, metrics = calculated(reward, ["How much?"] * 2, ["4 g.", "8 g."], **columns)
    assert told == [None, None]
    assert failures.codes == Counter({str(error.code): 2})
    assert (failures.hopeless is not None) == hopeless
    assert metrics["oracle/unscored"] == 1


def test_reward_counts_responses_that_were_not_scored():
    failures = Failures()
    transport = MockTransport(score=judged_by(lambda *_: 0.9))
    reward = oracle_reward(Grader("mock://", transport=transport), failures)
    columns = {"rubric": [RUBRIC, RUBRIC, "unknown-to-the-mock"], "prompt_id": ["p", "p", "q"]}
    told, _ = calculated(reward, ["How much?"] * 3, ["4 g.", "8 g.", "9 g."], **columns)
    assert told == [1.0, 1.0, None]
    assert (failures.asked, failures.codes.total(), failures.hopeless) == (3, 1, None)
    assert [len(item.responses) for item in transport.calls[0].items] == [2, 1]


@pytest.mark.parametrize("ours", [True, False])
def test_texts_of_what_was_not_scored_are_kept_out_of_the_log(caplog, ours):
    """TRL's own warning, through TRL's own code; without our reward it quotes, or this test would prove nothing."""

    async def nothing(prompts, **_):
        return [None] * len(prompts)

    logging.getLogger("trl.trainer.grpo_trainer").filters.clear()  # of other tests
    grader = Grader("mock://", transport=MockTransport(score=judged_by(lambda *_: 0.9)))
    reward = functools.partial(trl_reward, grader=grader) if ours else nothing
    with caplog.at_level(logging.WARNING):
        calculated(reward, [f"Is {CANARY} safe?"], ["No."], rubric=["unknown-to-the-mock"])
    assert "All reward functions returned None" in caplog.text
    assert (CANARY in caplog.text) != ours


def test_one_prompt_over_a_limit_takes_no_reward_from_the_others():
    def limited(request):
        if any(len(item.rubric.criteria) > 2 for item in request.items):
            raise TooLargeError("an item has 3 criteria; the limit is 2")
        return judged_by(lambda *_: 0.9)(request)

    large = json.dumps([json.loads(RUBRIC)[0] | {"id": f"c{n}"} for n in range(3)])
    failures = Failures()
    reward = oracle_reward(Grader("mock://", transport=MockTransport(score=limited)), failures)
    columns = {"rubric": [RUBRIC, large, RUBRIC], "prompt_id": ["p", "q", "r"]}
    told, _ = calculated(reward, ["How much?", "How much?", "How often?"], ["4 g.", "8 g.", "Daily."], **columns)
    assert told == [1.0, None, 1.0]
    assert failures.codes == {"invalid_item": 1}
    told, _ = calculated(reward, ["How much?"], ["8 g."], rubric=[large], prompt_id=["q"])
    assert (told, failures.hopeless) == ([None], None)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([Failures(asked=10, codes=Counter(too_long=2))], None),
        ([Failures(asked=10, codes=Counter(too_long=3))], "3 of 10 responses were not scored (too_long 3)"),
        ([Failures(asked=10), Failures(asked=10, codes=Counter(too_long=4))], None),
        ([Failures(asked=10), Failures(asked=10, codes=Counter(deadline=5))], "5 of 20 responses"),
        ([Failures(asked=10), Failures(asked=10, hopeless="revision_mismatch: other")], "revision_mismatch: other"),
        ([Failures()], None),
    ],
)
def test_vote_counts_over_all_processes(told, said):
    from promedical_trainer.grpo.stopping import Vote
    from promedical_trainer.runs.progress import Deadline

    verdict = Vote(Failures(), 0.2, Deadline(), "grpc://oracle")._verdict(told, 7)
    assert (verdict is None) == (said is None)
    assert said is None or said in verdict


async def asked(reward, logged, count=2):
    """The reward function as TRL calls it."""
    columns = {"rubric": [RUBRIC] * count, "prompt_id": ["p"] * count}
    texts = [f"{number} g." for number in range(count)]
    log = {"log_metric": logged.__setitem__, "log_extra": logged.__setitem__}
    return await reward(prompts=["How much?"] * count, completions=texts, **columns, **log)


@pytest.fixture(scope="module")
def slow_server():
    """Some 170 tokens a question, at 400 a second; more than one of them do not fit into the queue."""
    program, speed = (gated.__file__,), "400"
    with running_server("--engine=fake", "--max-queue-tokens=700", program=program, FAKE_TOKENS_PER_S=speed) as server:
        yield server


async def test_reward_of_an_oracle_that_is_too_slow_is_none_in_time(slow_server):
    grader, failures, logged = Grader(slow_server.grpc_url, timeout_s=0.2), Failures(), {}
    began = time.monotonic()
    told = await asked(oracle_reward(grader, failures), logged)
    await grader.aclose()
    assert told == [None, None]
    assert time.monotonic() - began < 5
    assert failures.codes.keys() <= {"deadline", "overloaded"}
    assert failures.codes.total() == failures.asked == 2
    assert failures.hopeless is None
    assert logged["fingerprint"] == [None, None]


async def test_reward_of_an_oracle_that_is_overloaded_comes_after_a_while(slow_server):
    grader, failures = Grader(slow_server.grpc_url, timeout_s=60), Failures()
    reward = oracle_reward(grader, failures)
    told = await asyncio.gather(*(asked(reward, {}) for _ in range(6)))
    await grader.aclose()
    assert all(each == told[0] for each in told)
    assert None not in told[0]
    assert (failures.asked, failures.codes.total()) == (12, 0)
    assert "overloaded" in slow_server.log


async def test_reward_of_an_oracle_that_is_gone_is_none_in_time():
    grader, failures = Grader("grpc://127.0.0.1:1", timeout_s=1.0), Failures()
    assert await asked(oracle_reward(grader, failures), {}) == [None, None]
    await grader.aclose()
    assert failures.codes.keys() <= {"deadline", "unavailable"}


async def test_reward_outlives_a_replica_that_is_killed_under_its_call(fake_server):
    """Two replicas behind a balancer; the slow one gets the call first, and dies under it."""
    program = (gated.__file__,)
    doomed = RunningServer("--engine=fake", program=program, FAKE_TOKENS_PER_S="1000")
    pin = Grader(fake_server.grpc_url)
    expected = await asked(oracle_reward(pin, Failures()), {})
    await pin.aclose()
    try:
        async with balanced(doomed.grpc_port, fake_server.grpc_port) as balancer:
            grader, failures = Grader(balancer.url, timeout_s=60), Failures()
            asking = asyncio.create_task(asked(oracle_reward(grader, failures), {}))
            await balancer.news.wait()
            doomed.process.kill()
            assert await asking == expected
            await grader.aclose()
    finally:
        doomed.process.kill()
        doomed.ended()
    assert balancer.taken[0] == doomed.grpc_port
    assert balancer.taken[-1] == fake_server.grpc_port
    assert failures.codes.total() == 0


def test_comparison_of_before_and_after_is_paired_by_prompt():
    import pandas as pd

    from promedical_trainer.grpo.held_out import MEASURES, compare

    def frame(rewards):
        parts = dict.fromkeys(MEASURES, rewards)
        return pd.DataFrame({"prompt": list("abcd")[: len(rewards)], **parts})

    found = compare(frame([0.0, 1.0, 0.5, 0.2]), frame([0.5, 1.5, 1.0]))
    assert found["reward"].change.n == 3
    assert found["reward"].before.value == pytest.approx(0.5)
    assert (found["reward"].change.low, found["reward"].change.high) == pytest.approx((0.5, 0.5))
    assert compare(frame([0.1]), frame([])) == {}
