"""Signing in at an issuer of OpenID Connect: who gets in, and every way in which it must fail, over real HTTP."""

import base64
import io
import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey
from starlette.testclient import TestClient

from oidc_issuer import CLIENT_ID, CLIENT_SECRET, PERSON, Issuer, issuing
from promedical_review.errors import IdentityError, InvalidError, NotAllowedError
from promedical_review.oidc.settings import OidcSettings, oidc_settings
from promedical_review.people.identities import Identities, Identity
from promedical_review.people.users import Users
from promedical_review.store.database import Database
from promedical_review.store.events import history
from promedical_review.web.app import web_app
from promedical_review.web.identities import STATUSES
from promedical_review.web.languages import catalog
from promedical_review.web.sign_in_pace import SignInPace
from promedical_review.web.telemetry import Metrics, configure_logs
from reviewing import PASSWORD

SITE = "https://review.example"
EMAIL = PERSON["email"]
SURROGATE = base64.urlsafe_b64encode(b'["\\ud800", "\\ud800", "\\ud800", "/"]').decode()
ROLES = {"wards": "physician", "office": "admin"}


@pytest.fixture(scope="module")
def running() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Issuer:
    running.mend()
    return running


class Browser:
    """A browser of its own at the app, and what it is told."""

    def __init__(self, database: Database, issuer: Issuer, **options: Any) -> None:
        settings = {"issuer": issuer.url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        oidc = OidcSettings(**settings | options)
        app = web_app(database, Metrics(), public_url=SITE, oidc=oidc, pace=SignInPace(failures=1000))
        self.client = TestClient(app, base_url=SITE, follow_redirects=False, raise_server_exceptions=False)

    def begun(self, back: str = "/work"):
        return self.client.get("/login/oidc", params={"back": back})

    def answer(self, back: str = "/work") -> str:
        """Begin, and sign in at the issuer; gives the address that the issuer sends the browser back to."""
        return httpx.get(self.begun(back).headers["location"]).headers["location"]

    def signed_in(self, back: str = "/work"):
        return self.client.get(self.answer(back))

    def refused(self, kind: str) -> None:
        """Sign in, and be told this."""
        told(self.signed_in(), kind)
        assert self.client.get("/work").headers["location"].startswith("/login")


def told(answer, kind: str) -> None:
    assert answer.status_code == STATUSES[kind]
    beginning = catalog("en")[f"identity_{kind}"].split("{")[0]
    assert beginning in answer.text.replace("&#39;", "'")


@pytest.fixture
def browser(sqlite: Database, issuer: Issuer) -> Browser:
    return Browser(sqlite, issuer)


@pytest.fixture
def ada(sqlite: Database):
    return Users(sqlite).add(EMAIL, "physician")


@pytest.fixture(scope="module")
def study(migrated, running, tmp_path_factory) -> Iterator[Browser]:
    """A browser, and an account that its user would get; for attempts that fail, and so change nothing."""
    path = tmp_path_factory.mktemp("study") / "review.sqlite"
    shutil.copy(migrated, path)
    running.mend()
    with closing(Database(f"sqlite:///{path}")) as database:
        Users(database).add(EMAIL, "physician")
        yield Browser(database, running)


@pytest.fixture
def attempt(study: Browser, issuer: Issuer) -> Browser:
    study.client.cookies.clear()
    return study


def test_invited_user_signs_in_and_gets_the_same_session(browser, ada):
    landed = browser.signed_in()
    assert landed.headers["location"] == "/work"
    session, begun = landed.headers.get_list("set-cookie")
    assert session.startswith("__Host-session=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(session.split("; "))
    assert begun.startswith('__Host-begun="";')
    assert EMAIL in browser.client.get("/work").text
    browser.client.post("/logout")
    assert browser.client.get("/work").headers["location"].startswith("/login")


def test_browser_is_sent_with_state_nonce_and_pkce(browser, issuer):
    address = urlsplit(browser.begun().headers["location"])
    asked = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert f"{address.scheme}://{address.netloc}" == issuer.url
    assert asked["redirect_uri"] == f"{SITE}/login/oidc/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 32
    assert len({asked[name] for name in ("state", "nonce", "code_challenge")}) == 3


def test_account_is_bound_to_its_first_identity(browser, sqlite, issuer, ada):
    browser.signed_in()
    issuer.person["email"] = "ada.married@clinic.example"
    assert Browser(sqlite, issuer).signed_in().headers["location"] == "/work"
    issuer.person = {**PERSON, "sub": "somebody else who got the address"}
    Browser(sqlite, issuer).refused("unknown")
    assert "identity_bound" in [each.kind for each in sqlite.read(history)]


@pytest.mark.browsers
@pytest.mark.parametrize(
    "person",
    [
        {"email_verified": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": None},
        {"email": "eve@clinic.example"},
        {"email": ["ada@clinic.example"]},
    ],
    ids=["unsaid", "unverified", "text", "none", "other", "list"],
)
def test_nobody_is_let_in_by_an_address_that_is_not_verified_or_not_invited(attempt, issuer, person):
    issuer.person |= person
    attempt.refused("unknown")


def test_refused_user_is_told_what_an_admin_needs(browser, sqlite, issuer):
    issuer.person["email"] = None
    shown = browser.signed_in().text
    key = f"{issuer.url}|{PERSON['sub']}"
    assert key in shown
    Users(sqlite).add("ada", "physician", subject=key)
    assert browser.signed_in().headers["location"] == "/work"


def test_user_who_is_not_active_is_unknown(browser, sqlite, ada):
    browser.signed_in()
    Users(sqlite).set_active(ada.id, active=False)
    browser.refused("unknown")


def test_role_comes_from_the_groups_at_every_sign_in(sqlite, issuer):
    issuer.person["groups"] = ["canteen", "wards"]
    assert Browser(sqlite, issuer, roles=ROLES).signed_in().headers["location"] == "/work"
    assert Users(sqlite).named(EMAIL).role == "physician"
    issuer.person["groups"] = ["office"]
    Browser(sqlite, issuer, roles=ROLES).signed_in()
    assert Users(sqlite).named(EMAIL).role == "admin"


@pytest.mark.browsers
@pytest.mark.parametrize(
    ("groups", "kind"),
    [(None, "no_role"), (["canteen"], "no_role"), ("office wards", "no_role"), ({"wards": 1}, "no_role"),
     ([["wards"]], "no_role"), (["wards", "office"], "roles")],
    ids=["unsaid", "other", "text", "object", "nested", "two"],
)  # fmt: skip
def test_groups_that_give_no_single_role_let_nobody_in(sqlite, issuer, ada, groups, kind):
    issuer.person["groups"] = groups
    Browser(sqlite, issuer, roles=ROLES).refused(kind)


def test_groups_may_lie_within_a_claim_or_be_one_word(sqlite, issuer):
    issuer.person["realm_access"] = {"roles": "wards"}
    found = Browser(sqlite, issuer, roles=ROLES, role_claim="realm_access.roles").signed_in()
    assert found.headers["location"] == "/work"


def test_last_admin_stays_admin_whatever_the_groups_say(sqlite, clock):
    identity = Identity(issuer="https://id", subject="1", email="root@clinic.example")
    Users(sqlite, clock).add("root@clinic.example", "admin")
    with pytest.raises(NotAllowedError):
        Identities(sqlite, clock).sign_in(identity, "physician")
    assert Users(sqlite).named("root@clinic.example").role == "admin"


def test_name_that_another_account_has_is_not_taken_over(sqlite, issuer):
    Users(sqlite).add(EMAIL, "admin", subject="https://other|1")
    issuer.person["groups"] = ["wards"]
    Browser(sqlite, issuer, roles=ROLES).refused("taken")


def test_claims_that_the_token_lacks_are_asked_for(browser, issuer, ada):
    issuer.metadata["userinfo_endpoint"] = f"{issuer.url}/userinfo"
    issuer.person, issuer.userinfo = {"sub": PERSON["sub"]}, dict(PERSON)
    assert browser.signed_in().headers["location"] == "/work"


def test_claims_about_somebody_else_are_not_taken(browser, issuer, ada):
    issuer.metadata["userinfo_endpoint"] = f"{issuer.url}/userinfo"
    issuer.person, issuer.userinfo = {"sub": "eve"}, dict(PERSON)
    browser.refused("unknown")


def test_identity_is_the_same_for_two_databases(database, clock):
    long = Identity(issuer="https://id.example", subject="s" * 255, email="ADA@clinic.example")
    ada = Users(database, clock).add("Ada@Clinic.example", "physician")
    assert Identities(database, clock).sign_in(long).id == ada.id
    assert Identities(database, clock).sign_in(long).subject == long.key
    with pytest.raises(IdentityError):
        Identities(database, clock).sign_in(Identity(issuer="https://id.example", subject="t" * 255, email="ada@x.y"))


def test_letters_that_only_look_the_same_open_no_account(sqlite, clock):
    Users(sqlite, clock).add("kim@clinic.example", "physician")
    with pytest.raises(IdentityError):  # a KELVIN SIGN, whose small letter is k
        Identities(sqlite, clock).sign_in(Identity(issuer="https://i", subject="1", email="\u212aim@clinic.example"))


# Attacks, and faults of the issuer.


def test_state_is_good_for_one_browser_once(browser, sqlite, issuer, ada):
    address = browser.answer()
    told(Browser(sqlite, issuer).client.get(address), "state")
    assert browser.client.get(address).headers["location"] == "/work"
    browser.client.post("/logout")
    told(browser.client.get(address), "state")


def test_answer_to_another_sign_in_is_refused(attempt):
    address = attempt.answer()
    attempt.begun()
    told(attempt.client.get(address), "state")


def test_stolen_cookie_and_address_find_the_code_used(browser, sqlite, issuer, ada):
    address = browser.answer()
    thief = Browser(sqlite, issuer)
    thief.client.cookies.update(browser.client.cookies)
    browser.client.get(address)
    told(thief.client.get(address), "code")


@pytest.mark.browsers
@pytest.mark.parametrize("cookie", ["", "x", "W10=", "eyJhIjogMX0=", "WzEsIDIsIDMsIDRd", "bnVsbA==", SURROGATE])
def test_cookie_that_keeps_no_sign_in_is_none(attempt, cookie):
    address = attempt.answer()
    attempt.client.cookies.clear()
    attempt.client.cookies.set("__Host-begun", cookie)
    told(attempt.client.get(address), "state")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"state": None}, "state"),
        ({"state": "forged"}, "state"),
        ({"code": None}, "answer"),
        ({"code": "made up"}, "code"),
        ({"error": "access_denied"}, "denied"),
        ({"error": "server_error", "error_description": "<script>alert(1)</script>"}, "answer"),
        ({"iss": "https://other.example"}, "issuer"),
    ],
    ids=["no-state", "forged-state", "no-code", "no-such-code", "denied", "error", "mixed-up"],
)
def test_answer_that_is_not_right_signs_nobody_in(attempt, issuer, answer, kind):
    issuer.answer = answer
    attempt.refused(kind)


def test_issuer_that_names_itself_in_answers_must_do_so(browser, issuer, ada):
    issuer.metadata["authorization_response_iss_parameter_supported"] = True
    browser.refused("issuer")
    issuer.answer = {"iss": issuer.url}
    assert browser.signed_in().headers["location"] == "/work"


@pytest.mark.browsers
@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"iss": "https://other.example"}, "issuer"),
        ({"aud": "another app"}, "audience"),
        ({"aud": ["another app", "a third"]}, "audience"),
        ({"aud": None}, "token"),
        ({"azp": "another app"}, "audience"),
        ({"nonce": "of another sign-in"}, "token"),
        ({"nonce": None}, "token"),
        ({"exp": time.time() - 3600}, "clock"),
        ({"exp": None}, "token"),
        ({"exp": "never"}, "clock"),
        ({"iat": time.time() + 3600}, "clock"),
        ({"nbf": time.time() + 3600}, "clock"),
        ({"sub": None}, "token"),
        ({"sub": ""}, "token"),
        ({"sub": 7}, "token"),
        ({"sub": "a\0b"}, "token"),
        ({"sub": "\ud800"}, "token"),
        ({"email": "\ud800@clinic.example"}, "unknown"),
        ({"at_hash": "of another token"}, "token"),
    ],
    ids=[
        "issuer", "audience", "audiences", "no-audience", "party", "nonce", "no-nonce", "expired", "no-end",
        "end-is-text", "future", "not-yet", "nobody", "empty", "number", "nul", "surrogate", "address", "hash",
    ],
)  # fmt: skip
def test_token_with_wrong_claims_signs_nobody_in(attempt, issuer, claims, kind):
    issuer.claims = claims
    attempt.refused(kind)


@pytest.mark.parametrize(
    "signed",
    [
        lambda issuer, claims: issuer.unsigned(claims),
        lambda issuer, claims: issuer.signed_with_the_public_key(claims),
        lambda issuer, claims: issuer.sign(claims, RSAKey.generate_key(2048, {"kid": "first"})),
        lambda issuer, claims: issuer.sign(claims, RSAKey.generate_key(2048, {"kid": "unknown"})),
        lambda issuer, claims: (
            issuer.sign(claims | {"nonce": "x"}).rpartition(".")[0] + "." + issuer.sign(claims).rpartition(".")[2]
        ),
        lambda _, __: "no.to.ken",
        lambda _, __: None,
        lambda _, __: {"a": 1},
    ],
    ids=["none", "hmac-with-public-key", "other-key", "unknown-key", "other-signature", "garbage", "null", "object"],
)
def test_token_that_the_issuer_did_not_sign_signs_nobody_in(attempt, issuer, signed):
    issuer.signed = lambda claims: signed(issuer, claims)
    attempt.refused("token")


def test_new_key_of_the_issuer_is_fetched_once_it_is_used(browser, issuer, ada):
    browser.signed_in()
    new = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})
    issuer.published = [issuer.key, new]
    issuer.signed = lambda claims: issuer.sign(claims, new)
    assert browser.signed_in().headers["location"] == "/work"


@pytest.mark.browsers
@pytest.mark.parametrize(
    "path", ["/.well-known/openid-configuration", "/jwks", "/token"], ids=["description", "keys", "token"]
)
def test_issuer_that_is_down_is_said_and_passwords_still_work(browser, sqlite, issuer, ada, path):
    Users(sqlite).set_password(ada.id, PASSWORD)
    issuer.down = {path}
    begun = browser.begun()
    told(begun if begun.status_code != 303 else browser.signed_in(), "unreachable")
    issuer.down = set()
    signed_in = browser.client.post("/login", data={"name": EMAIL, "password": PASSWORD})
    assert signed_in.headers["location"] == "/"


@pytest.mark.browsers
@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"issuer": "https://other.example"}, "issuer"),
        ({"token_endpoint": "http://evil.example/token"}, "issuer"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "issuer"),
        ({"jwks_uri": None}, "unreachable"),
    ],
    ids=["other", "plain-http", "script", "no-keys"],
)
def test_issuer_that_is_not_the_configured_one_gets_nobody(browser, issuer, metadata, kind):
    issuer.metadata = metadata
    told(browser.begun(), kind)


def test_secret_that_is_wrong_is_a_fault_of_the_app(sqlite, issuer, ada):
    Browser(sqlite, issuer, client_secret="wrong").refused("client")


def test_nobody_listens_at_the_issuers_address(sqlite):
    app = web_app(sqlite, Metrics(), oidc=OidcSettings(issuer="http://127.0.0.1:1", client_id="x"))
    told(TestClient(app, base_url="http://127.0.0.1:8090").get("/login/oidc"), "unreachable")


def test_sign_in_at_an_issuer_sends_nobody_to_another_site(browser, ada):
    for back in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "/a\nb"):
        assert browser.signed_in(back).headers["location"] == "/"
        browser.client.cookies.clear()


def test_address_that_fails_often_is_slowed(sqlite, issuer):
    oidc = OidcSettings(issuer=issuer.url, client_id=CLIENT_ID)
    app = web_app(sqlite, Metrics(), oidc=oidc, pace=SignInPace(failures=2))
    client = TestClient(app, base_url="http://127.0.0.1:8090")
    statuses = [client.get("/login/oidc/callback?state=x&code=y").status_code for _ in range(3)]
    assert statuses == [400, 400, 429]


def test_sign_out_offers_to_sign_out_at_the_issuer_too(browser, issuer, ada):
    issuer.metadata["end_session_endpoint"] = f"{issuer.url}/logout"
    browser.signed_in()
    page = browser.client.get(browser.client.post("/logout").headers["location"])
    assert 'href="/logout/oidc"' in page.text
    address = urlsplit(browser.client.get("/logout/oidc").headers["location"])
    assert address.geturl().startswith(f"{issuer.url}/logout?")
    assert parse_qs(address.query) == {"client_id": [CLIENT_ID], "post_logout_redirect_uri": [f"{SITE}/login"]}


def test_issuer_without_a_page_to_sign_out_at_is_said(browser):
    assert "close the browser" in browser.client.get("/logout/oidc").text


def test_log_of_a_refused_sign_in_names_the_kind_and_nobody(browser, issuer, sqlite):
    said = io.StringIO()
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    configure_logs(stream=said)
    try:
        issuer.person["groups"] = "canary-group"
        browser.refused("unknown")
    finally:
        logging.getLogger().handlers = handlers
        logging.getLogger().setLevel(level)
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    (refused,) = [line for line in lines if line["event"] == "sign_in_refused"]
    assert refused["kind"] == "unknown"
    for secret in (EMAIL, PERSON["sub"], "canary-group", CLIENT_SECRET, "state=", "code="):
        assert secret not in said.getvalue()


# Settings.


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"issuer": "http://id.example"}, "oidc_issuer"),
        ({"issuer": "id.example"}, "oidc_issuer"),
        ({"issuer": "https://id.example?x=1"}, "oidc_issuer"),
        ({"issuer": "https://[id"}, "oidc_issuer"),
        ({"client_id": None}, "oidc_client_id"),
        ({"client_secret": ""}, "oidc_client_secret"),
        ({"issuer": None}, "oidc_client_id"),
        ({"roles": "wards=physician"}, "oidc_roles"),
        ({"roles": "[]"}, "oidc_roles"),
        ({"roles": "{}"}, "oidc_roles"),
        ({"roles": '{"wards": "judge"}'}, "oidc_roles"),
        ({"roles": '{"wards": ["admin"]}'}, "oidc_roles"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(f"{k}-{v}" for k, v in value.items()),
)
def test_settings_that_cannot_work_are_refused_by_field(given, field):
    right = {"issuer": "https://id.example", "client_id": "x", "client_secret": None, "role_claim": "groups"}
    with pytest.raises(InvalidError) as caught:
        oidc_settings(**{**right, "roles": None, **given})
    assert caught.value.field == field


def test_settings_show_no_secret():
    settings = OidcSettings(issuer="https://id.example", client_id="x", client_secret=CLIENT_SECRET)
    assert CLIENT_SECRET not in repr(settings)


def test_every_kind_of_failure_has_a_status():
    assert STATUSES.keys() == IdentityError.KINDS.keys()


def test_app_without_an_issuer_has_no_such_sign_in(sqlite):
    client = TestClient(web_app(sqlite, Metrics()), base_url="http://127.0.0.1:8090", follow_redirects=False)
    assert client.get("/login/oidc").status_code == 404
    assert "/login/oidc" not in client.get("/login").text
