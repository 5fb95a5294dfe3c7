"""The soak: three replicas of a tiny model under mixed load, one of them killed every 20 s and one never.

`make soak` runs it for SOAK_SECONDS, 600 by default, and writes what it saw to dist/soak.json.
"""

import asyncio
import json
import os
import time
from itertools import count
from pathlib import Path

import pytest
from fleet_kit import Fleet, Traffic, check_scored_once, fleet

from gated import criterion, item
from models import tiny_bundle
from promedical import messages as m
from promedical_client import AsyncClient

SECONDS = float(os.environ.get("SOAK_SECONDS", "0"))
RESULT = Path(__file__).resolve().parents[2] / "dist" / "soak.json"
KILL_EVERY_S, DOWN_S, LOOK_EVERY_S = 20.0, 2.0, 10.0
WARM_UP_S, LOOKS = 300.0, 3
"""The allocator's pools grow for some five minutes of load, then stand still; a leak goes on."""
MOST_GROWTH = 0.02

pytestmark = [
    pytest.mark.skipif(SECONDS < 2 * WARM_UP_S, reason="the soak takes ten minutes; make soak runs it"),
    pytest.mark.timeout(SECONDS + 300),
]


def group(name: str) -> m.ScoreItem:
    """What a trainer asks: a group of responses."""
    rubric = m.RubricSpec(criteria=tuple(criterion(f"c{n}", "safety" if n == 5 else "proficiency") for n in range(6)))
    return item(name, responses=tuple(f"Answer {n} of {name}: rest and drink." for n in range(4)), rubric=rubric)


async def kill_in_turn(them: Fleet, begins: float) -> int:
    """Kill replicas 1 and 2 in turn, and start them again; number 0 is never touched."""
    for kills in count():
        await asyncio.sleep(begins + (kills + 1) * KILL_EVERY_S - time.monotonic())
        if time.monotonic() >= begins + SECONDS:
            return kills
        number = 1 + kills % 2
        await asyncio.to_thread(them.replicas[number].kill)
        await asyncio.sleep(DOWN_S)
        await asyncio.to_thread(them.start, number)
    raise AssertionError


async def memory(them: Fleet, begins: float) -> list[int]:
    """Resident MiB of the replica that lives, every few seconds."""
    seen: list[int] = []
    while (due := begins + (len(seen) + 1) * LOOK_EVERY_S) <= begins + SECONDS:
        await asyncio.sleep(due - time.monotonic())
        seen.append(them.replicas[0].rss >> 20)
    return seen


async def test_soak_loses_nothing_and_leaks_nothing(tmp_path: Path) -> None:
    model = tiny_bundle(tmp_path / "tiny")
    with fleet(3, "--engine=torch", f"--model={model}", "--threads=1", "--connection-max-age-s=5") as them:
        async with (
            them.client(timeout_s=60) as trainers,
            them.client(timeout_s=60) as product,
            AsyncClient(them.replicas[0].rest_url, timeout_s=60) as page,
            Traffic(trainers, callers=3, ask=group, priority="bulk") as bulk,
            Traffic(product, callers=3) as single,
            Traffic(page, callers=1) as over_rest,
        ):
            begins = time.monotonic()
            kills, resident = await asyncio.gather(kill_in_turn(them, begins), memory(them, begins))
    seen = {
        name: {"sent": each.sent, "answered": len(each.answered), "errors": [str(e.code) for e in each.failures]}
        for name, each in (("bulk", bulk), ("interactive", single), ("interactive over REST", over_rest))
    }
    warm = resident[round(WARM_UP_S / LOOK_EVERY_S) :]
    growth = min(warm[-LOOKS:]) / min(warm[:LOOKS]) - 1
    told = {"seconds": SECONDS, "kills": kills, "memory_growth": growth, "resident_mib": resident, **seen}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(told) + "\n")
    for each in (bulk, single, over_rest):
        assert len(each.answered) + len(each.failures) == each.sent
        assert len(each.answered) > 0.99 * each.sent
    assert over_rest.failures == []  # it asks the replica that lives
    check_scored_once(them, bulk, single, over_rest, unlogged=6 * kills)
    assert kills >= (SECONDS // KILL_EVERY_S) - 2
    assert growth < MOST_GROWTH
