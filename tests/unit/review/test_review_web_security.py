"""What the app refuses, whoever asks: other sites, bodies that are too large, guessers, scripts in what is shown."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from promedical_review.people.sessions import IDLE_S, LONGEST_S, Sessions
from promedical_review.people.users import LOCK_AFTER, Users
from promedical_review.store.database import Database
from promedical_review.web.app import web_app
from promedical_review.web.assets import ADDRESS
from promedical_review.web.prose import as_html
from promedical_review.web.sign_in_pace import SignInPace
from promedical_review.web.telemetry import Metrics
from promedical_review.web.uploads import MAX_FILE_BYTES
from reviewing import HandClock, opened

PASSWORD = "correct horse battery"
SITE = "https://review.example"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    found = opened(f"sqlite:///{tmp_path_factory.mktemp('review')}/review.db")
    for name, role in {"ada": "physician", "boss": "admin"}.items():
        Users(found).add(name, role, password=PASSWORD)
    yield found
    found.close()


def caller(database: Database, name: str | None = None, **options) -> TestClient:
    """A browser of its own; with a name, one in which this user is signed in."""
    app = web_app(database, Metrics(), public_url=SITE, **options)
    client = TestClient(app, base_url=SITE, follow_redirects=False, raise_server_exceptions=False)
    if name is not None:
        client.cookies.set("__Host-session", Sessions(database).open(Users(database).named(name)))
    return client


@pytest.fixture
def stranger(database: Database) -> TestClient:
    return caller(database)


@pytest.fixture
def ada(database: Database) -> TestClient:
    return caller(database, "ada")


@pytest.fixture
def boss(database: Database) -> TestClient:
    return caller(database, "boss")


def sign_in(client: TestClient, name: str, password: str = PASSWORD):
    return client.post("/login", data={"name": name, "password": password})


def test_cookie_is_kept_from_scripts_other_sites_and_plain_http(stranger):
    (cookie,) = sign_in(stranger, "ada").headers.get_list("set-cookie")
    name, *attributes = cookie.split("; ")
    assert name.startswith("__Host-session=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(attributes)
    assert not any(each.startswith("Domain") for each in attributes)


def test_cookie_is_not_secure_on_plain_localhost_only(database):
    client = TestClient(web_app(database, Metrics()), base_url="http://127.0.0.1:8090", follow_redirects=False)
    (cookie,) = sign_in(client, "ada").headers.get_list("set-cookie")
    assert "Secure" not in cookie
    assert "HttpOnly" in cookie


def test_session_ends_at_sign_out(ada):
    cookies = dict(ada.cookies)
    assert ada.get("/work").status_code == 200
    ada.post("/logout")
    ada.cookies.update(cookies)
    assert ada.get("/work").headers["location"].startswith("/login")


def test_session_ends_with_a_new_password(database):
    user = Users(database).add("grace", "physician")
    grace = caller(database, "grace")
    assert grace.get("/work").status_code == 200
    Users(database).set_password(user.id, PASSWORD)
    assert grace.get("/work").status_code == 303


@pytest.mark.parametrize("later_s", [IDLE_S, LONGEST_S], ids=["idle", "old"])
def test_session_ends_with_time(database, later_s):
    clock = HandClock()
    sessions = Sessions(database, clock)
    token = sessions.open(Users(database).named("ada"))
    assert sessions.user_of(token) is not None
    clock.now += later_s
    assert sessions.user_of(token) is None


def test_made_up_session_opens_nothing(stranger):
    stranger.cookies.set("__Host-session", "x" * 43)
    assert stranger.get("/work").headers["location"].startswith("/login")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://review.example"},
    ],
    ids=["cross-site", "sibling", "origin", "null", "http"],
)
def test_request_of_another_site_changes_nothing(boss, database, headers):
    before = len(Users(database).every())
    answer = boss.post("/users", data={"name": "mallory", "role": "admin"}, headers=headers)
    assert answer.status_code == 403
    assert len(Users(database).every()) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_method_that_changes_something_is_guarded(ada, method):
    answer = ada.request(method, "/rubrics/1/draft", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": SITE}, {}], ids=["fetch", "origin", "none"]
)
def test_request_of_our_own_pages_passes(ada, headers):
    assert ada.post("/language", data={"language": "zh"}, headers=headers).status_code == 303


def test_every_answer_forbids_scripts_and_frames_of_others(stranger):
    for path in ("/login", f"{ADDRESS}/app.js", "/nothing", "/healthz"):
        headers = stranger.get(path).headers
        policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "max-age" in headers["strict-transport-security"]


def test_pages_hold_no_inline_script_or_style(ada):
    for path in ("/work", "/help", "/nothing"):
        page = ada.get(path).text
        inline = [tag for tag in re.findall(r"<script\b[^>]*>", page) if "src=" not in tag]
        assert all('type="application/json"' in tag for tag in inline)
        assert not re.search(r"\son\w+=|\sstyle=|javascript:|<style", page)


def test_pages_load_nothing_from_elsewhere(ada):
    for path in ("/work", "/help"):
        assert re.findall(r'(?:src|href|action)="(?!/|#)', ada.get(path).text) == []


def test_no_cache_keeps_a_page(ada):
    assert ada.get("/work").headers["cache-control"] == "no-store"


def test_account_is_locked_after_wrong_passwords_even_for_the_right_one(database, stranger):
    Users(database).add("henry", "physician", password=PASSWORD)
    for _ in range(LOCK_AFTER):
        assert sign_in(stranger, "henry", "wrong").status_code == 401
    refused = sign_in(stranger, "henry")
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers


def test_unknown_name_and_wrong_password_look_the_same(stranger):
    first, second = sign_in(stranger, "nobody", "wrong"), sign_in(stranger, "boss", "wrong")
    assert first.text.replace("nobody", "boss") == second.text


def test_address_that_guesses_is_slowed_whatever_name_it_tries(database):
    guesser = caller(database, pace=SignInPace(failures=3))
    assert [sign_in(guesser, f"name-{n}", "wrong").status_code for n in range(3)] == [401] * 3
    refused = sign_in(guesser, "ada")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_pace_is_by_address():
    pace = SignInPace(failures=1)
    pace.failed("203.0.113.9")
    assert pace.wait_s("203.0.113.9") > 0
    assert pace.wait_s("203.0.113.10") == 0


def test_body_above_the_limit_is_refused(ada):
    answer = ada.put("/rubrics/1/draft", json={"version": 0, "criteria": [], "note": "x" * (1 << 20)})
    assert answer.status_code == 413


def test_body_of_unknown_length_is_refused_while_it_is_read(ada):
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(4096):
            sent += 1024
            yield b" " * 1024

    answer = ada.put("/rubrics/1/draft", content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_file_above_the_limit_is_refused(boss):
    answer = boss.post("/rounds", headers={"Content-Length": str(MAX_FILE_BYTES + 1)}, content=b"")
    assert answer.status_code == 413


def test_file_of_somebody_without_the_right_is_not_read(ada):
    answer = ada.post("/rounds", files={"file": ("round.jsonl", b"{}")})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](  JaVaScRiPt:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "<a href='vbscript:x'>x</a>",
        "<svg onload=alert(1)><p>",
        "![x](https://evil.example/track.png)",
        "<iframe src=//evil.example></iframe>",
        "<style>*{display:none}</style>",
        "```html\n<script>alert(1)</script>\n```",
        "`<script>`",
        "<div hx-get=/logout hx-trigger=load>",
        '[x](https://ok.example "><script>alert(1)</script>")',
        "<base href=//evil.example>",
        "<!--><script>alert(1)</script>-->",
    ],
    ids=lambda text: re.sub(r"\W+", "-", text)[:24],
)
def test_answer_with_a_script_is_shown_as_text(attack):
    shown = str(as_html(attack))
    tags = re.findall(r"<[^>]*>", shown)
    assert not any(re.match(r"</?(script|img|svg|iframe|style|base|div)\b", tag, re.IGNORECASE) for tag in tags)
    assert not any(re.search(r"\son\w+=|\shx-|javascript:|vbscript:|data:", tag, re.IGNORECASE) for tag in tags)


def test_answer_keeps_its_structure():
    shown = str(as_html("# Dose\n\n- **4 g** a day\n\n| a | b |\n|---|---|\n| 1 | 2 |"))
    for tag in ("<h1>", "<li>", "<strong>", "<td>"):
        assert tag in shown


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "/a\nb"])
def test_sign_in_sends_nobody_to_another_site(ada, back):
    assert ada.get("/login", params={"back": back}).headers["location"] == "/"


def test_static_files_are_only_those_of_the_package(stranger):
    for path in ("../app.py", "%2e%2e/app.py", "/etc/passwd", "..%2fapp.py"):
        assert stranger.get(f"{ADDRESS}/{path}").status_code == 404
    assert stranger.get(f"{ADDRESS}/app.js").status_code == 200


def test_readiness_names_no_password(tmp_path: Path):
    with_password = Database(f"sqlite:///{tmp_path}/empty.db")
    answer = caller(with_password).get("/readyz")
    with_password.close()
    assert answer.status_code == 503
    assert "promedical-review db upgrade" in answer.text


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_database_that_is_down_is_said_and_the_browser_tries_again(accept):
    """Scripts keep what they sent where the answer is 503, and send it again."""
    down = Database("postgresql://review:hidden@127.0.0.1:1/review")
    client = caller(down)
    client.cookies.set("__Host-session", "x" * 43)
    body = {"version": 0, "criteria": [], "note": "secret text"}
    for answer in (client.get("/work", headers={"Accept": accept}), client.put("/rubrics/1/draft", json=body)):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
    said = client.get("/work", headers={"Accept": accept}).text
    down.close()
    assert "Nothing was stored and nothing is lost" in said
    assert "review:hidden" not in said
