"""The queue, from the design: budgets of unique tokens, two lanes that cannot starve each other, fairness of keys."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gated import make_tree
from promedical_model.tree.token_tree import TokenTree
from promedical_service.batching.queue import JobQueue, Part, remaining_tokens

LANES = ("interactive", "bulk")
QUANTUM = 4096


@dataclass(eq=False)
class Job:
    tree: TokenTree
    lane: str = "bulk"
    key: str = "k"
    taken: int = 0


def job(*, lane="bulk", key="k", **sizes):
    return Job(make_tree(**sizes), lane, key)


def taken_tokens(parts):
    return sum(part.tree.unique_tokens for part in parts)


def spans(parts):
    return [(part.job, part.start, part.stop) for part in parts]


def queue_of(*jobs, share=0.25):
    queue = JobQueue(share)
    for one in jobs:
        queue.add(one)
    return queue


# Budgets


def test_queue_take_fills_the_budget_and_not_more():
    jobs = [job(prompt=4, branches=(6,)) for _ in range(5)]
    queue = queue_of(*jobs)
    assert [part.job for part in queue.take(30)] == jobs[:3]
    assert [part.job for part in queue.take(29)] == jobs[3:]
    assert queue.take(30) == []


def test_queue_take_gives_one_branch_that_is_over_any_budget():
    first, second = job(branches=(500, 500)), job(branches=(5,))
    queue = queue_of(first, second)
    assert spans(queue.take(1)) == [(first, 0, 1)]
    assert spans(queue.take(0)) == [(first, 1, 2)]
    assert spans(queue.take(-3)) == [(second, 0, 1)]
    assert not queue


def test_queue_take_counts_the_prompt_once_per_tree_and_batch():
    one = job(prompt=10, branches=(5, 5, 5))
    queue = queue_of(one)
    assert spans(queue.take(20)) == [(one, 0, 2)]
    assert queue.tokens == 15
    assert spans(queue.take(15)) == [(one, 2, 3)]


def test_queue_take_splits_a_large_tree_by_response_in_order():
    large = job(prompt=10, branches=tuple(range(5, 45)))
    queue = queue_of(large)
    seen = []
    while parts := queue.take(60):
        assert len(parts) == 1
        assert taken_tokens(parts) <= 60
        assert parts[0].tree.prompt == large.tree.prompt
        seen += parts[0].tree.branches
    assert tuple(seen) == large.tree.branches


def test_queue_take_shares_a_batch_between_trees():
    tail, small = job(branches=(50, 50)), job(branches=(5,))
    queue = queue_of(tail, small)
    queue.take(54)
    assert spans(queue.take(100)) == [(tail, 1, 2), (small, 0, 1)]


def test_queue_part_is_the_tree_of_its_branches_only():
    one = job(prompt=3, branches=(5, 6, 7), leaves=2)
    part = Part(one, 1, 3)
    assert part.tree.prompt == one.tree.prompt
    assert part.tree.branches == one.tree.branches[1:]


def test_queue_of_nothing_is_false_and_empty():
    queue = JobQueue(0.25)
    assert not queue
    assert (queue.tokens, queue.jobs(), queue.take(10)) == (0, [], [])
    queue.add(job())
    assert queue


# Any history


class QueueMachine(RuleBasedStateMachine):
    """Whatever is added, taken and discarded: each branch once, in order, within the budget, and exact accounts."""

    def __init__(self):
        super().__init__()
        self.queue = JobQueue(0.25)
        self.waiting: dict[Job, int] = {}
        self.gone: list[Job] = []

    @rule(
        lane=st.sampled_from(LANES),
        key=st.sampled_from("abc"),
        prompt=st.integers(1, 3000),
        branches=st.lists(st.integers(3, 6000), min_size=1, max_size=6),
    )
    def add(self, lane, key, prompt, branches):
        one = job(lane=lane, key=key, prompt=prompt, branches=branches)
        self.queue.add(one)
        self.waiting[one] = 0

    @rule(budget=st.integers(0, 20_000))
    def take(self, budget):
        before = self.queue.tokens
        parts = self.queue.take(budget)
        branches = sum(part.stop - part.start for part in parts)
        assert bool(parts) is bool(self.waiting)
        assert taken_tokens(parts) <= budget or branches == 1
        assert len({id(part.job) for part in parts}) == len(parts)
        for part in parts:
            assert part.start == self.waiting[part.job] < part.stop <= len(part.job.tree.branches)
            self.waiting[part.job] = part.stop
            if part.stop == len(part.job.tree.branches):
                del self.waiting[part.job]
                self.gone.append(part.job)
        assert budget < before or not self.waiting, "all that fits goes"

    @precondition(lambda self: self.waiting)
    @rule(choice=st.randoms(use_true_random=False))
    def discard(self, choice):
        one = choice.choice(list(self.waiting))
        self.queue.discard(one)
        del self.waiting[one]
        self.gone.append(one)

    @precondition(lambda self: self.gone)
    @rule(choice=st.randoms(use_true_random=False))
    def discard_again(self, choice):
        self.queue.discard(choice.choice(self.gone))

    @invariant()
    def accounts_are_the_sum_of_what_waits(self):
        for lane in LANES:
            here = {one: start for one, start in self.waiting.items() if one.lane == lane}
            tokens = sum(one.tree.part(start, len(one.tree.branches)).unique_tokens for one, start in here.items())
            assert self.queue.size(lane) == (len(here), tokens)
        assert self.queue.tokens == sum(self.queue.size(lane)[1] for lane in LANES)  # type: ignore[misc]
        assert set(self.queue.jobs()) == set(self.waiting)
        assert bool(self.queue) is bool(self.waiting)


test_queue_keeps_exact_accounts_in_any_history = QueueMachine.TestCase
test_queue_keeps_exact_accounts_in_any_history.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)


@given(
    st.lists(st.tuples(st.sampled_from(LANES), st.sampled_from("ab"), st.integers(3, 9000)), min_size=1, max_size=40),
    st.integers(1, 30_000),
)
@settings(max_examples=60)
def test_queue_keeps_the_order_of_one_key_in_one_lane(arrivals, budget):
    jobs = [job(lane=lane, key=key, branches=(size,)) for lane, key, size in arrivals]
    queue, served = queue_of(*jobs), []
    while parts := queue.take(budget):
        served += [part.job for part in parts]
    assert Counter(map(id, served)) == Counter(map(id, jobs))
    for lane in LANES:
        for key in "ab":
            mine = [one for one in jobs if (one.lane, one.key) == (lane, key)]
            assert [one for one in served if (one.lane, one.key) == (lane, key)] == mine


def test_queue_remaining_tokens_shrink_to_nothing():
    one = job(prompt=10, branches=(5, 7))
    expected = [22, 17, 0]
    for taken, tokens in enumerate(expected):
        one.taken = taken
        assert remaining_tokens(one) == tokens


# Lanes


def test_queue_takes_interactive_before_bulk_that_came_first():
    bulk, interactive = job(lane="bulk"), job(lane="interactive")
    queue = queue_of(bulk, interactive)
    assert [part.job for part in queue.take(1)] == [interactive]
    assert [part.job for part in queue.take(1)] == [bulk]


def _contest(share, bulk_branch, interactive_branch, budget, until=400_000):
    """Tokens per lane after every batch while both lanes are never empty."""
    queue, got, history = JobQueue(share), Counter(), []
    while sum(got.values()) < until:
        while queue.size("bulk")[1] < budget + bulk_branch * 2:
            queue.add(job(lane="bulk", branches=(bulk_branch,)))
        while queue.size("interactive")[1] < budget + interactive_branch * 2:
            queue.add(job(lane="interactive", branches=(interactive_branch,)))
        for part in queue.take(budget):
            got[part.job.lane] += part.tree.unique_tokens
            history.append(dict(got))
    return history


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("bulk", "interactive"), [(100, 100), (3000, 100), (100, 3000)])
@pytest.mark.parametrize("budget", [1, 2500])
def test_queue_gives_bulk_its_share_at_every_moment(share, bulk, interactive, budget):
    # A batch is in no order; between batches each lane is within a branch and its batch of its share.
    slack = bulk + interactive / (1 - share) + budget + 100
    for got in _contest(share, bulk, interactive, budget, until=150_000):
        total = sum(got.values())
        assert abs(got.get("bulk", 0) - share * total) <= slack


def test_queue_does_not_let_a_flood_of_interactive_starve_a_large_bulk_branch():
    queue, interactive = queue_of(job(lane="bulk", branches=(6000,))), 0
    while queue.size("bulk")[0]:
        queue.add(job(lane="interactive", branches=(100,)))
        queue.add(job(lane="interactive", branches=(100,)))
        interactive += sum(part.tree.unique_tokens for part in queue.take(1) if part.job.lane == "interactive")
    assert interactive <= 3 * 6000 + 200


def test_queue_does_not_let_a_flood_of_bulk_delay_interactive_by_more_than_one_branch():
    queue = queue_of(*(job(lane="bulk", branches=(1000,)) for _ in range(200)))
    for _ in range(40):
        queue.add(job(lane="interactive", branches=(500,)))
        first, second = queue.take(1), queue.take(1)
        assert "interactive" in {first[0].job.lane, second[0].job.lane}
        while queue.size("interactive")[0]:
            queue.take(1)


def test_queue_does_not_pay_bulk_for_time_when_it_did_not_wait():
    queue = JobQueue(0.25)
    for _ in range(50):
        queue.add(job(lane="interactive", branches=(1000,)))
        queue.take(1)
    queue.add(job(lane="bulk", branches=(100,)))
    queue.add(job(lane="interactive", branches=(100,)))
    assert [part.job.lane for part in queue.take(1)] == ["interactive"]


def test_queue_does_not_pay_a_bulk_job_for_the_wait_of_one_that_left():
    gone = job(lane="bulk", branches=(6000,))
    queue = queue_of(gone, *(job(lane="interactive", branches=(1000,)) for _ in range(20)))
    assert {queue.take(1)[0].job.lane for _ in range(15)} == {"interactive"}
    queue.discard(gone)
    queue.add(job(lane="bulk", branches=(1000,)))
    assert [part.job.lane for part in queue.take(1)] == ["interactive"]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_queue_works_with_the_extreme_shares_that_settings_allow(share):
    lane = [part.job.lane for part in queue_of(*(job(lane=lane) for lane in LANES), share=share).take(1)]
    assert lane == (["bulk"] if share else ["interactive"])
    got = _contest(share, 100, 100, 500, until=5000)[-1]
    assert got.keys() == set(lane)


# Keys


@pytest.mark.parametrize("branch", [100, 3000, 9000])
@pytest.mark.parametrize("floods", [1, 3])
def test_queue_bounds_what_a_flood_of_other_keys_delays(branch, floods):
    queue = JobQueue(0.25)
    for flood in range(floods):
        for _ in range(100):
            queue.add(job(key=f"flood{flood}", branches=(branch,)))
    queue.take(20_000)
    late = job(key="late", branches=(50,))
    queue.add(late)
    before = 0
    while (part := queue.take(1)[0]).job is not late:
        before += part.tree.unique_tokens
    assert before <= floods * (QUANTUM + branch + 4)


def test_queue_gives_keys_even_tokens_whatever_the_size_of_their_branches():
    sizes = {"small": 40, "middle": 700, "large": 3500}
    queue, got = JobQueue(0.25), Counter()
    for key, size in sizes.items():
        for _ in range(60_000 // size + 2):
            queue.add(job(key=key, branches=(size,)))
    while sum(got.values()) < 120_000:
        for part in queue.take(1):
            got[part.job.key] += part.tree.unique_tokens
        assert max(got[key] for key in sizes) - min(got[key] for key in sizes) <= 2 * (QUANTUM + 3504)


def test_queue_lets_a_key_pay_for_a_branch_larger_than_its_turn():
    queue = queue_of(*(job(key="huge", branches=(20_000,)) for _ in range(3)))
    for _ in range(800):
        queue.add(job(key="small", branches=(96,)))
    order = [queue.take(1)[0].job.key for _ in range(700)]
    first = order.index("huge")
    second = order.index("huge", first + 1)
    assert first == 0
    assert abs((second - first - 1) * 100 - 20_000) <= 2 * QUANTUM


def test_queue_turns_inside_a_tree_of_many_branches():
    large, small = job(key="a", branches=(3000,) * 10), job(key="b", branches=(3000,))
    queue = queue_of(large, small)
    served = [queue.take(1)[0].job for _ in range(11)]
    assert served.index(small) <= 3
    assert served.count(large) == 10


def test_queue_forgets_a_key_that_left():
    queue = JobQueue(0.25)
    for number in range(1000):
        one = job(key=f"k{number}")
        queue.add(one)
        if number % 2:
            queue.discard(one)
        else:
            queue.take(100)
    assert all(not lane.jobs and not lane._deficits for lane in queue._lanes.values())


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_queue_discard_works_at_any_moment_and_twice(taken):
    one, other = job(prompt=5, branches=(10, 10)), job(key="other")
    queue = queue_of(one, other)
    for _ in range(taken):
        queue.take(1)
    queue.discard(one)
    queue.discard(one)
    assert queue.jobs() == [other]
    assert queue.tokens == other.tree.unique_tokens
    assert queue.size("bulk") == (1, other.tree.unique_tokens)
