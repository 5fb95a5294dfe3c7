"""A run says how far it is and what its calls do, on a terminal and elsewhere."""

import io
import time
from types import SimpleNamespace

from rich.console import Console

from promedical_curation.asking.asker import Tally
from promedical_curation.asking.pace import Pace
from promedical_curation.pipeline import progress as module
from promedical_curation.pipeline.progress import StageProgress, stage_progress


def busy_asker() -> SimpleNamespace:
    pace = Pace(8)
    pace.in_flight, pace.turned_away, pace.limit.now = 3, 2, 5.7
    fetcher = SimpleNamespace(paces={("u", "m"): pace}, spent=1.234)
    return SimpleNamespace(fetcher=fetcher, tally=Tally(answered=9, from_store=4))


def test_progress_tells_rate_flight_limit_refusals_money_and_time_left(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = StageProgress(100)
    assert progress.left == "time left unknown"
    progress.asker, progress.done, clock[0] = busy_asker(), 10, 4.5
    assert progress.calls == "2.0 replies/s, 3 of 5 in flight, 4 from the store, 2 x 429, $1.23"
    assert progress.left == "40 s left"
    clock[0] = 100.0
    assert progress.left == "15 min left"


def test_terminal_shows_a_bar():
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=200)
    with stage_progress(console, "difficulty", 10) as progress:
        progress.asker = busy_asker()
        progress.advance(5)
    assert "3 of 5 in flight" in shown.getvalue()
    assert "5/10" in shown.getvalue()


def test_other_output_gets_a_line_now_and_then(monkeypatch):
    monkeypatch.setattr(module, "LINE_EVERY_S", 0.01)
    shown = io.StringIO()
    with stage_progress(Console(file=shown, width=60), "difficulty", 2000) as progress:
        progress.done = 1000
        while not shown.getvalue().count("\n"):
            time.sleep(0.01)
    assert shown.getvalue().startswith("difficulty: 1,000 of 2,000 rows, ")
    assert shown.getvalue().splitlines()[0].endswith("left")
