"""The command that serves, with a provider of OpenID Connect that others wrote: by HTTP, and in a real browser."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest
from test_review_process import Process, running

from promedical_review.people.users import Users
from promedical_review.store.database import Database
from reviewing import opened
from serving import free_port

ADA = {"sub": "ada", "email": "ada@clinic.example", "email_verified": True}
EVE = {"sub": "eve", "email": "eve@clinic.example", "email_verified": True}
SECRET = "a secret that no log holds"

pytestmark = pytest.mark.browsers


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """`oidc-provider-mock` as a process of its own, which knows two people."""
    port = free_port()
    people = [word for each in (ADA, EVE) for word in ("--user-claims", json.dumps(each))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true", *people]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(url):
            assert process.poll() is None, "the provider ended"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/.well-known/openid-configuration").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Iterator[Database]:
    with closing(opened(f"sqlite:///{tmp_path_factory.mktemp('study')}/review.db")) as database:
        Users(database).add(ADA["email"], "physician")
        Users(database).add("boss", "admin")
        yield database


@pytest.fixture(scope="module")
def app(provider, database, tmp_path_factory) -> Iterator[Process]:
    """The app as a process, with the address of its database and its secret in files."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "url").write_text(f"{database.name}\n")
    (folder / "secret").write_text(f"{SECRET}\n")
    oidc = {"ISSUER": provider, "CLIENT_ID": "review", "CLIENT_SECRET": f"@{folder}/secret"}
    given = {f"PROMEDICAL_REVIEW_OIDC_{name}": value for name, value in oidc.items()}
    with ExitStack() as stack:
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in given.items():
            patched.setitem(os.environ, name, value)
        yield stack.enter_context(running("--database", f"@{folder}/url"))


def signed_in(client: httpx.Client, person: str) -> httpx.Response:
    """Begin at the app, say who one is at the provider, and come back."""
    form = client.get("/login/oidc", params={"back": "/work"}).headers["location"]
    back = client.post(form, data={"sub": person}).headers["location"]
    return client.get(back)


def test_provider_of_others_signs_in_whom_an_admin_invited_and_nobody_else(app):
    with httpx.Client(base_url=app.url) as client:
        assert signed_in(client, "ada").headers["location"] == "/work"
        assert ADA["email"] in client.get("/work").text
    with httpx.Client(base_url=app.url) as client:
        refused = signed_in(client, "eve")
        assert refused.status_code == 403
        assert "no active account" in refused.text
        assert client.get("/work").headers["location"].startswith("/login")
        form = client.get("/login/oidc").headers["location"]
        denied = client.get(client.post(form, data={"action": "deny"}).headers["location"])
        assert denied.status_code in {400, 403}


def test_physician_signs_in_and_out_at_the_hospital_in_a_browser(app, database):
    from playwright.sync_api import expect

    from review_browsers import chromium, person, violations

    with chromium() as browser, person(browser, app.url, database, "boss") as boss, person(browser, app.url) as page:
        boss.goto("/users")
        assert violations(boss) == []
        boss.fill("#name", "new@clinic.example")
        boss.check("[name=invited]")
        boss.click("section[aria-labelledby=add] button")
        expect(boss.locator("td", has_text="new@clinic.example").first).to_be_visible()
        assert boss.locator("code").count() == 0  # no password
        page.goto("/work")
        assert violations(page) == []
        page.click("text=Sign in with your organisation's account")
        page.fill("input[name=sub]", "ada")
        page.click("text=Authorize >> nth=-1")
        page.wait_for_url(f"{app.url}/work")
        assert ADA["email"] in page.inner_text("header")
        page.click("#logout button")
        page.wait_for_url("**/login?left=1")
        assert violations(page) == []
        page.click("text=sign out there too")
        page.wait_for_url("**/oauth2/end_session?*")
        page.goto("/work")
        page.wait_for_url("**/login?back=**")


def test_log_of_the_process_holds_no_secret_and_nobody(app):
    with httpx.Client(base_url=app.url) as client:
        signed_in(client, "eve")
    app.end(signal.SIGTERM)
    said = "".join(app.log)
    assert '"sign_in_refused"' in said
    for secret in (SECRET, ADA["email"], EVE["email"], "code=", "state="):
        assert secret not in said
