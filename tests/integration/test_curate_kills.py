"""A run that is killed at random moments repeats no more calls than were in flight, and ends as if nothing happened.

Also what takes many rows: how much memory a run takes, and how well a plan foresees it.
"""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import curating
import curating_memory
from fault_proxy import Proxy, running_proxy
from promedical_curation.asking.fetching import Terms
from promedical_curation.pipeline.planning import plan_line
from promedical_curation.pipeline.row_files import SCHEMAS
from promedical_curation.pipeline.run_folder import open_run
from promedical_curation.pipeline.worker import Means

COMMIT_S = 1.0
"""How long before a kill an answer may have left the proxy and not be in the store yet, on a busy machine."""


def program(folder: Path, proxy: Proxy, rows: int) -> subprocess.Popen:
    command = [sys.executable, curating.__file__, str(folder), proxy.url, f"--rows={rows}"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def kill_at_random(process: subprocess.Popen, proxy: Proxy, chance: random.Random) -> float | None:
    """Kill it while it starts, or after some of its calls; gives when, or None if it had ended.

    The moment is counted in calls, since a slow machine would otherwise be killed before every answer.
    """
    asked, answered = len(proxy.calls), proxy.answered + chance.randrange(5)
    if chance.random() < 0.9:
        while (len(proxy.calls) == asked or proxy.answered < answered) and process.poll() is None:
            time.sleep(0.02)
    time.sleep(chance.uniform(0.0, 0.4))
    if process.poll() is not None:
        return None
    process.send_signal(signal.SIGKILL)
    killed = time.time()
    process.wait()
    return killed


def in_flight(proxy: Proxy, moment: float) -> int:
    return sum(call.began <= moment and (call.ended is None or call.ended > moment - COMMIT_S) for call in proxy.calls)


def check_kills(llama: str, tmp_path: Path, kills: int, rows: int) -> None:
    chance = random.Random(kills)
    with running_proxy(llama, delay_s=0.2) as proxy:
        moments: list[float] = []
        while len(moments) < kills:
            with program(tmp_path / "killed", proxy, rows) as process:
                killed = kill_at_random(process, proxy, chance)
            assert killed is not None, f"it ended after {len(moments)} kills; give it more rows"
            moments.append(killed)
        with program(tmp_path / "killed", proxy, rows) as process:
            assert process.wait() == 0
        repeated = len(proxy.calls) - len(proxy.by_question)
        assert repeated <= sum(in_flight(proxy, moment) for moment in moments)
    with running_proxy(llama) as proxy, program(tmp_path / "calm", proxy, rows) as process:
        assert process.wait() == 0
    for stage in ("given", "word", "sift", "fits"):
        for name in SCHEMAS:
            killed, calm = (tmp_path / run / "stages" / stage / name for run in ("killed", "calm"))
            assert killed.read_bytes() == calm.read_bytes(), (stage, name)


@pytest.mark.timeout(900)
def test_five_kills_repeat_only_what_was_in_flight(llama, tmp_path):
    check_kills(llama, tmp_path, kills=5, rows=24)


@pytest.mark.curation
@pytest.mark.timeout(3600)
def test_fifty_kills_repeat_only_what_was_in_flight(llama, tmp_path):
    check_kills(llama, tmp_path, kills=50, rows=300)


def peak_mb(folder: Path, rows: int) -> float:
    folder.mkdir()
    command = [sys.executable, curating_memory.__file__, str(folder), str(rows)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found["kept"] == rows
    return found["peak_mb"]


def test_memory_does_not_grow_with_the_rows(tmp_path):
    assert peak_mb(tmp_path / "many", 12_000) < peak_mb(tmp_path / "few", 2_000) + 25


@pytest.mark.curation
@pytest.mark.timeout(1800)
def test_memory_is_flat_at_100_000_rows(tmp_path):
    assert peak_mb(tmp_path / "many", 100_000) < peak_mb(tmp_path / "few", 5_000) + 60


def test_plan_is_within_a_fifth_of_what_the_run_uses(llama, tmp_path):
    with running_proxy(llama) as proxy:
        asked = curating.endpoint(proxy.url)
        given = [*curating.rows(40), curating.row("What is 1? Please.", id="again")]
        line = [curating.source(given), curating.word_stage(asked), curating.word_stage(asked, curating.FITS, "fits")]
        with open_run(tmp_path / "run", line) as run:
            means = Means(endpoints={asked.name: asked}, store=run.store, terms=Terms(run=run.id))
            curating.bring_to_first_question(run, means)
            planned = plan_line(run, means, sample=12)
        curating.run_line(tmp_path / "run", line, asked)
        assert set(proxy.by_question.values()) == {1}
        spent = curating.spending(tmp_path / "run")
    for estimate in planned:
        used = spent[estimate.stage]
        assert estimate.calls == pytest.approx(used.calls, rel=0.2)
        assert estimate.input_tokens == pytest.approx(used.input_tokens, rel=0.2)
        assert estimate.output_tokens == pytest.approx(used.output_tokens, rel=0.2)
        assert estimate.cost == pytest.approx(used.cost, rel=0.2)
