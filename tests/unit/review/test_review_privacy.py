"""Marked words go everywhere that somebody can write, with every kind of ending; no log and no metric has them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient

from promedical_review.people.sessions import Sessions
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.web.app import web_app
from promedical_review.web.telemetry import Metrics, configure_logs
from reviewing import PASSWORD, round_file, uuid4

MARK = "canary"
JSON = {"Accept": "application/json"}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the process logs, as it does when it serves."""
    root, said = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    configure_logs(stream=said)
    yield said
    root.handlers = handlers
    root.setLevel(level)


def test_logs_and_metrics_hold_nothing_that_somebody_wrote(sqlite, tmp_path, log):
    ada = Users(sqlite).add(f"{MARK}-ada", "physician", password=PASSWORD)
    found = Rounds(sqlite).import_file(round_file(tmp_path, f"{MARK}-round"), actor="system")
    Rounds(sqlite).open(found.id, actor="system")
    task = Reviewing(sqlite).take(ada).task_id
    metrics = Metrics()
    client = TestClient(web_app(sqlite, metrics), base_url="http://localhost", raise_server_exceptions=False)
    statuses = [client.post("/login", data={"name": f"{MARK}-name", "password": f"{MARK}-password"}).status_code]
    client.cookies.set("session", Sessions(sqlite).open(ada))
    work = {"submission": uuid4(), "version": 0, "criteria": [{"text": MARK}], "note": MARK, "verdict": "accepted"}
    asked = [
        ("GET", f"/{MARK}?{MARK}", {}),
        ("GET", "/work", {"Referer": f"http://localhost/{MARK}", "User-Agent": MARK}),
        ("PUT", f"/rubrics/{task}/draft", {"version": 0, "criteria": [{"text": MARK}], "note": MARK}),
        ("PUT", f"/rubrics/{task}/draft", {MARK: MARK}),
        ("POST", f"/rubrics/{MARK}/decision", work),
        ("POST", f"/rubrics/{task}/decision", work | {"verdict": MARK}),
        ("POST", f"/rubrics/{task}/decision", work),
    ]
    for method, path, body in asked:
        sent = {"headers": body} if method == "GET" else {"json": body, "headers": JSON}
        statuses.append(client.request(method, path, **sent).status_code)
    try:
        int(MARK)  # whose message quotes it
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    assert {200, 401, 404, 422} <= set(statuses)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert len([line for line in lines if line["event"] == "request"]) == len(statuses)
    assert lines[-1]["error_type"] == "ValueError"
    for said in (log.getvalue(), generate_latest(metrics.registry).decode()):
        assert MARK not in said
        assert task not in said
        assert PASSWORD not in said
