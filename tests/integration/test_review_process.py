"""The command that serves, as a process that is told to end and one that is killed in the middle of submits."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from promedical_review.people.sessions import Sessions
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database
from reviewing import opened, round_file, rows_in, uuid4

PROGRAM = "from promedical_review.cli import main; main()"
RATERS = 20
RUBRICS = 200


class Process:
    """The command in a process of its own, ready when made."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-c", PROGRAM, "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._listening.wait(60), self.log
        found = re.search(r'"port": (\d+)', "".join(self.log))
        assert found, self.log
        self.url = f"http://127.0.0.1:{found[1]}"

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if '"listening"' in line:
                self._listening.set()
        self._listening.set()

    def end(self, signal_number: int) -> int:
        self.process.send_signal(signal_number)
        code = self.process.wait(30)
        self._reader.join(30)
        assert self.process.stderr
        self.process.stderr.close()
        return code


@contextmanager
def running(*arguments: str) -> Iterator[Process]:
    process = Process(*arguments)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.end(signal.SIGKILL)
        assert process.process.stdout
        process.process.stdout.close()


def test_demo_lets_everybody_in_and_ends_when_told_to():
    with running("--demo") as demo:
        assert demo.process.stdout
        lines = [demo.process.stdout.readline().split() for _ in range(7)]
        accounts = {name: password for _, name, password in lines[1:]}
        assert {"admin", "physician-1", "adjudicator", "viewer"} <= accounts.keys()
        with httpx.Client(base_url=demo.url, follow_redirects=True) as client:
            page = client.post("/login", data={"name": "physician-1", "password": accounts["physician-1"]})
            assert "demo-1" in page.text
            assert client.get("/readyz").text == "ok"
        assert demo.end(signal.SIGTERM) == 0
        assert not any(password in line for password in accounts.values() for line in demo.log)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--demo"),
        (["--demo", "--database", "sqlite:///x.db"], "cannot be used with a database"),
        (["--demo", "--host", "0.0.0.0"], "--public-url"),
        (["--demo", "--public-url", "http://review.example"], "https://NAME"),
        (["--demo", "--public-url", "https://review.example/app"], "https://NAME"),
        (["--database", "mysql://x/y"], "postgresql://"),
        (["--database", "@/nowhere/url"], "/nowhere/url, which cannot be read"),
        (["--demo", "--oidc-client-id", "x"], "--oidc-issuer"),
        (["--demo", "--oidc-issuer", "http://id.example", "--oidc-client-id", "x"], "https://NAME/PATH"),
        (["--demo", "--oidc-issuer", "https://id.example"], "oidc_client_id"),
    ],
    ids=["neither", "both", "open", "plain", "path", "mysql", "file", "no-issuer", "plain-issuer", "no-client"],
)
def test_serve_refuses_what_cannot_work_and_says_what_to_give(arguments, said, capsys, monkeypatch):
    from promedical_review.cli import main

    monkeypatch.delenv("PROMEDICAL_REVIEW_DATABASE", raising=False)
    monkeypatch.setattr(sys, "argv", ["promedical-review", "serve", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


@pytest.fixture
def study(tmp_path) -> Iterator[tuple[Database, dict[str, str]]]:
    """A round that many rate at once; gives their sessions' tokens by name."""
    database = opened(f"sqlite:///{tmp_path}/review.db")
    rounds, sessions = Rounds(database), Sessions(database)
    found = rounds.import_file(round_file(tmp_path, rubrics=RUBRICS), actor="system")
    rounds.open(found.id, actor="system")
    users = [Users(database).add(f"rater {n}", "physician") for n in range(RATERS)]
    yield database, {user.name: sessions.open(user) for user in users}
    database.close()


def submit(url: str, token: str, task: str, body: dict) -> bool:
    """Whether the server has answered that the work is stored."""
    try:
        with httpx.Client(base_url=url, cookies={"session": token}, timeout=30) as client:
            return client.post(
                f"/rubrics/{task}/decision", json=body, headers={"Accept": "application/json"}
            ).is_success
    except httpx.TransportError:
        return False


@pytest.mark.browsers
def test_server_that_is_killed_in_the_middle_of_submits_loses_and_doubles_nothing(study, tmp_path: Path):
    database, tokens = study
    url = f"sqlite:///{tmp_path}/review.db"
    answered: dict[str, bool] = {}
    work: dict[str, tuple[str, dict]] = {}
    for _ in range(3):
        for name in tokens:
            taken = Reviewing(database).take(Users(database).named(name))
            body = {"submission": uuid4(), "version": taken.version, "criteria": [], "verdict": "accepted"}
            work[name] = (taken.task_id, body)
            answered[body["submission"]] = False
        with running("--database", url) as first, ThreadPoolExecutor(RATERS) as pool:
            sent = {name: pool.submit(submit, first.url, tokens[name], *work[name]) for name in tokens}
            next(iter(sent.values())).result()  # some are stored, others on their way
            first.end(signal.SIGKILL)
            for name, future in sent.items():
                answered[work[name][1]["submission"]] = future.result()
        with running("--database", url) as second, ThreadPoolExecutor(RATERS) as pool:
            again = [pool.submit(submit, second.url, tokens[name], *work[name]) for name in tokens]
            assert all(future.result() for future in again)
            assert second.end(signal.SIGTERM) == 0
    stored = [row["client_id"] for row in rows_in(database, "submissions")]
    assert sorted(stored) == sorted(answered)
    assert len(rows_in(database, "decisions")) == len(answered) == 3 * RATERS
    assert not all(answered.values())
    events = [row["data"]["client_id"] for row in rows_in(database, "events") if row["kind"] == "task_submitted"]
    assert sorted(events) == sorted(answered)
