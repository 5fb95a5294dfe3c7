"""An issuer of OpenID Connect over HTTP, with signed tokens and PKCE, whose answers a test may bend."""

import base64
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode

import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jws
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from promedical_review.web.serving import Address, listen

CLIENT_ID, CLIENT_SECRET = "review", "between these two"
PERSON = {"sub": "7f3", "email": "ada@clinic.example", "email_verified": True}

Claims = dict[str, Any]


class Issuer:
    """One issuer. Its attributes are what a test bends; `mend` undoes that.

    Attributes:
        person: The claims of whoever signs in.
        metadata: What differs in the issuer's description of itself.
        claims: What differs in an ID token; None takes a claim away.
        answer: What differs in the answer that the browser brings back.
        signed: How claims become a token.
        published: The keys that everybody may read.
        down: Paths that answer with 503.
        used: The paths that were asked for.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
        self._codes: dict[str, dict[str, str]] = {}
        self.mend()

    def mend(self) -> None:
        self.person: Claims = dict(PERSON)
        self.metadata: Claims = {}
        self.claims: Claims = {}
        self.answer: dict[str, str | None] = {}
        self.signed: Callable[[Claims], str] = self.sign
        self.published = [self.key]
        self.down: set[str] = set()
        self.userinfo: Claims | None = None
        self.used: list[str] = []
        self._codes.clear()

    def sign(self, claims: Claims, key: RSAKey | None = None) -> str:
        used = key or self.key
        return jws.serialize_compact({"alg": "RS256", "kid": used.kid}, json.dumps(claims), used)

    def unsigned(self, claims: Claims) -> str:
        return f"{_text({'alg': 'none'})}.{_text(claims)}."

    def signed_with_the_public_key(self, claims: Claims) -> str:
        """As if the public key, which everybody has, were a shared secret."""
        head = f"{_text({'alg': 'HS256', 'kid': 'first'})}.{_text(claims)}"
        return f"{head}.{_base64(hmac.digest(self.key.as_pem(private=False), head.encode(), 'sha256'))}"

    def app(self) -> Starlette:
        paths = {"/.well-known/openid-configuration": self._described, "/authorize": self._authorize}
        paths |= {"/jwks": self._keys, "/userinfo": self._userinfo}
        routes = [Route(path, self._unless_down(answer)) for path, answer in paths.items()]
        return Starlette(routes=[*routes, Route("/token", self._unless_down(self._token), methods=["POST"])])

    def _unless_down(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            self.used.append(request.url.path)
            if request.url.path in self.down:
                return Response("<h1>Down</h1>", status_code=503)
            return await answer(request)

        return endpoint

    async def _described(self, _: Request) -> Response:
        named = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
        found: Claims = {name: f"{self.url}/{path}" for name, path in named.items()}
        return JSONResponse(_bent({"issuer": self.url, **found}, self.metadata))

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        answer = _bent({"code": code, "state": asked["state"]}, self.answer)
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", status_code=303)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        if request.headers.get("authorization") != _basic():
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        asked = self._codes.pop(str(form["code"]), None)
        challenge = create_s256_code_challenge(str(form.get("code_verifier", "")))
        same = asked and (asked["redirect_uri"], asked["code_challenge"]) == (form["redirect_uri"], challenge)
        if not asked or not same:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        times = {"iat": now, "exp": now + 300}
        claims = {"iss": self.url, "aud": asked["client_id"], "nonce": asked["nonce"], **times, **self.person}
        token = self.signed(_bent(claims, self.claims))
        return JSONResponse({"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": token})

    async def _keys(self, _: Request) -> Response:
        return JSONResponse(KeySet(list(self.published)).as_dict(private=False))

    async def _userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer opaque"
        return JSONResponse(self.userinfo)


def _bent(values: Claims, changes: Claims) -> Claims:
    return {name: value for name, value in (values | changes).items() if value is not None}


def _basic() -> str:
    return f"Basic {base64.b64encode(f'{CLIENT_ID}:{CLIENT_SECRET}'.encode()).decode()}"


def _text(part: Claims) -> str:
    return _base64(json.dumps(part).encode())


def _base64(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer that listens on a free port."""
    with closing(listen(Address(port=0))) as listening:
        issuer = Issuer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        running = uvicorn.Server(uvicorn.Config(issuer.app(), log_config=None, lifespan="off"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not running.started:
                time.sleep(0.01)
            yield issuer
        finally:
            running.should_exit = True
            thread.join()
