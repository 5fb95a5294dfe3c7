"""Several real servers behind one name: calls spread, replicas that come, go, die, crawl or overflow, nothing lost."""

import asyncio

import pytest
from fleet_kit import Traffic, check_scored_once, fleet, within

from gated import item

pytestmark = [pytest.mark.timeout(300), pytest.mark.alone]


async def test_calls_spread_evenly_over_the_replicas_of_a_name():
    with fleet(3) as them:
        async with them.client() as client:
            for number in range(300):
                await client.score([item(f"i{number}")])
        shares = [replica.scored for replica in them.replicas.values()]
    assert sum(shares) == 300
    assert min(shares) >= 90


async def test_new_replica_gets_traffic_when_connections_come_of_age():
    with fleet(2, "--connection-max-age-s=2") as them:
        async with them.client() as client, Traffic(client) as traffic:
            await asyncio.sleep(1)
            late = them.start(2)
            assert await within(20, lambda: late.scored > 20)
        traffic.check_all_answered()
    check_scored_once(them, traffic)


async def test_replica_that_is_killed_costs_no_call():
    with fleet(3, tokens_per_s=20_000) as them:
        async with them.client() as client, Traffic(client, callers=12) as traffic:
            await asyncio.sleep(1)
            them.replicas[1].kill()
            await asyncio.sleep(3)
        traffic.check_all_answered()
        assert len(traffic.answered) > 100
        assert all(them.replicas[number].scored > 10 for number in (0, 2))
    check_scored_once(them, traffic, unlogged=12)


async def test_rolling_restart_costs_no_call():
    with fleet(3, "--connection-max-age-s=5", tokens_per_s=20_000) as them:
        async with them.client() as client, Traffic(client, callers=8) as traffic:
            await them.restart_in_turn()
            await asyncio.sleep(1)
        traffic.check_all_answered()
        assert len(traffic.answered) > 100
    check_scored_once(them, traffic)


async def test_slow_replica_costs_time_and_no_call():
    """Round robin gives it as many calls as the others; a balancer that counts those in progress does not."""
    with fleet(2) as them:
        slow = them.start(2, tokens_per_s=400)
        async with them.client() as client, Traffic(client, callers=16) as traffic:
            await asyncio.sleep(5)
        traffic.check_all_answered()
        assert all(replica.scored >= 1 for replica in (slow, *them.replicas.values()))
    check_scored_once(them, traffic)


async def test_calls_that_one_full_replica_refuses_are_answered_by_the_others():
    with fleet(2) as them:
        full = them.start(2, "--max-queue-tokens=900", tokens_per_s=2_000)
        async with them.client() as client, Traffic(client, callers=24) as traffic:
            await asyncio.sleep(5)
        traffic.check_all_answered()
        assert "overloaded" in full.log
        assert full.scored >= 1
    check_scored_once(them, traffic)
