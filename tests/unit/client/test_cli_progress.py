"""The progress bar of every command: on a terminal, in a log, and where nothing may be printed."""

import io

from rich.console import Console

from promedical_client.cli.progress import JobProgress, progress_bar, tracked


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def printed(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_progress_bar_on_a_terminal_shows_title_and_counts() -> None:
    screen = console(terminal=True)
    with progress_bar(screen, "scoring", 7, lines=True) as advance:
        advance(5)
    assert "scoring" in printed(screen)
    assert "5/7" in printed(screen)


def test_progress_bar_learns_the_total_on_the_way() -> None:
    screen = console(terminal=True)
    with progress_bar(screen, "asking") as advance:
        advance(3, 9)
    assert "3/9" in printed(screen)


def test_progress_bar_without_a_terminal_prints_nothing() -> None:
    log = console(terminal=False)
    with progress_bar(log, "asking") as advance:
        advance(3, 9)
    assert printed(log).strip() == ""


def test_progress_bar_in_a_log_prints_a_line_now_and_then_and_the_last() -> None:
    log = console(terminal=False)
    with progress_bar(log, "training steps", 101, lines=True) as advance:
        for done in range(1, 102):
            advance(done)
    lines = printed(log).splitlines()
    assert lines[0] == "training steps: 5 of 101"
    assert lines[-1] == "training steps: 101 of 101"
    assert len(lines) == 21


def test_tracked_gives_every_item_and_counts_it_when_it_is_done() -> None:
    screen = console(terminal=True)
    assert list(tracked(screen, "measuring", "abc")) == ["a", "b", "c"]
    assert "3/3" in printed(screen)


def test_job_says_its_rate_and_the_time_that_is_left_by_what_the_rest_costs() -> None:
    screen = console(terminal=True)
    with JobProgress(screen, "scoring", total=12, costs={f"i{n}": 1 + 8 * (n == 9) for n in range(10)}) as job:
        job.advance(f"i{n}" for n in range(9))
        assert job.pace(90.0) == "0.1 items/s, about 2 min left"  # the last item costs as much as the nine before it
    assert "11/12" in printed(screen)


def test_job_without_a_terminal_prints_nothing_while_it_is_young() -> None:
    log = console(terminal=False)
    with JobProgress(log, "scoring", total=3, costs={"a": 1, "b": 1, "c": 1}) as job:
        job.advance(["a"])
    assert printed(log).strip() == ""
