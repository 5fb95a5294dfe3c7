"""Threads, event loops and forks: where connections may live."""

import asyncio
import functools
import inspect
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from test_client_loopback import MODEL_INFO, RUBRIC, RUBRIC_INFO, Oracle, item, judge, on_both_transports, serving

from promedical_client import AsyncClient, Client, ForkedError, MockTransport, judged_by
from promedical_client.client import AskOptions, RankOptions, ScoreOneOptions, ScoreOptions
from promedical_client.per_loop import PerLoop
from promedical_client.sync import ClientOptions


def run_in_fork(work):
    """What `work` answers in a forked process; the exit status if it does not."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest may run here
        signal.alarm(20)
        try:
            answer = str(work())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            answer = type(error).__name__
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = answers.read()
    _, status = os.waitpid(child, 0)
    return answer or status


def in_a_process_of_its_own(test):
    """Run a test where nothing else has used gRPC: it does not survive a fork beside threads that others left."""

    @functools.wraps(test)
    def started(**arguments):
        program = f"import test_client_processes as t; t.{test.__name__}.__wrapped__(**{arguments!r})"
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr.decode()

    return started


@contextmanager
def serving_in_a_process(transport):
    """The URL of a server in a process of its own: a fork must inherit no server."""
    program = (
        "import sys, test_client_loopback as t\n"
        f"with t.serving(t.Oracle(), {transport!r}) as url: print(url, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parent
    )
    with process:
        yield process.stdout.readline().decode().strip()
        process.stdin.close()


def scored(client):
    return client.score([item("a")]).items[0].id


@on_both_transports
def test_the_synchronous_client_does_what_the_asynchronous_one_does(transport):
    with serving(Oracle(), transport) as url, Client(url) as client:
        progress = []
        assert scored(client) == "a"
        client.score([item("a")], on_progress=lambda *counts: progress.append(counts))
        assert progress == [(1, 1)]
        assert client.rank("q", ["bad", "good"], rubric=RUBRIC).best == (1,)
        assert client.score_one("q", ["good"], rubric=RUBRIC).result
        assert client.rubrics() == (RUBRIC_INFO,)
        assert client.rubric("general") == RUBRIC_INFO
        assert client.model() == MODEL_INFO


@on_both_transports
def test_one_synchronous_client_serves_several_threads(transport):
    with serving(Oracle(), transport) as url, Client(url) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: client.score([item(f"i{n}")]).items[0].id, range(40)))
    assert answers == [f"i{n}" for n in range(40)]


def test_the_synchronous_client_takes_the_same_options():
    def keywords(function):
        parameters = inspect.signature(function).parameters.values()
        return {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}

    asked = set(AskOptions.__annotations__)
    assert keywords(AsyncClient.__init__) == set(ClientOptions.__annotations__)
    assert keywords(AsyncClient.score) | asked == set(ScoreOptions.__annotations__)
    for function, options in ((AsyncClient.rank, RankOptions), (AsyncClient.score_one, ScoreOneOptions)):
        assert keywords(function) | asked == set(options.__annotations__)


async def test_the_synchronous_client_works_where_a_loop_is_running():
    with Client(transport=MockTransport(score=judged_by(judge))) as client:
        assert scored(client) == "a"


def test_no_thread_starts_before_the_first_call_nor_outlives_close():
    before = threading.active_count()
    client = Client(transport=MockTransport(score=judged_by(judge)))
    assert threading.active_count() == before
    scored(client)
    assert threading.active_count() == before + 1
    client.close()
    client.close()
    assert threading.active_count() == before
    assert scored(client) == "a"
    client.close()


@on_both_transports
def test_a_client_may_be_used_in_one_loop_after_another(transport):
    with serving(Oracle(), transport) as url:
        client = AsyncClient(url)

        async def ask():
            async with client:
                return (await client.score([item("a")])).items[0].id

        assert [asyncio.run(ask()) for _ in range(3)] == ["a"] * 3


def test_channels_of_closed_loops_are_let_go():
    async def use():
        channel = kept.get()
        assert kept.get() is channel
        return id(asyncio.get_running_loop())

    kept = PerLoop(object)
    for _ in range(3):
        asyncio.run(use())
    assert len(kept._kept[os.getpid()]) == 1


@on_both_transports
@in_a_process_of_its_own
def test_a_client_made_before_a_fork_works_in_parent_and_children(transport):
    with serving_in_a_process(transport) as url:
        client = Client(url, timeout_s=10)
        assert [run_in_fork(lambda: scored(client)) for _ in range(2)] == ["a", "a"]
        assert scored(client) == "a"
        client.close()
        assert run_in_fork(lambda: scored(client)) == "a"


@in_a_process_of_its_own
def test_a_rest_client_in_use_survives_a_fork():
    with serving_in_a_process("http") as url, Client(url, timeout_s=10) as client:
        assert scored(client) == "a"
        assert run_in_fork(lambda: scored(client)) == "a"
        assert scored(client) == "a"


@in_a_process_of_its_own
def test_a_grpc_client_in_use_says_in_a_fork_that_grpc_does_not_survive_it():
    with serving_in_a_process("grpc") as url, Client(url, timeout_s=10) as client:
        assert scored(client) == "a"
        assert run_in_fork(lambda: scored(client)) == ForkedError.__name__
        assert scored(client) == "a"


@on_both_transports
def test_a_client_that_is_not_closed_does_not_keep_its_process(transport):
    program = (
        "import sys; from promedical_client import Client; client = Client(sys.argv[1]);"
        "print(client.model().status); client.rubrics()"
    )
    with serving(Oracle(), transport) as url:
        done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, b"fake\n"), done.stderr


def test_importing_the_sdk_loads_no_transport():
    program = "import sys, promedical_client; print([m for m in ('grpc', 'httpx', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=True)
    assert done.stdout == b"[]\n"
