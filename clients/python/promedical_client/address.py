"""Where a service is and what it takes to call it: one address for clients, graders, the bench and the trainer."""

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import NoneType
from typing import Final
from urllib.parse import SplitResult, urlsplit

from promedical_client.errors import MisconfiguredError

DEFAULT_URL: Final = "grpc://127.0.0.1:50051"
ENVIRONMENT: Final = {
    "url": "PROMEDICAL_URL",
    "api_key": "PROMEDICAL_API_KEY",
    "ca_file": "PROMEDICAL_CA_FILE",
    "cert_file": "PROMEDICAL_CLIENT_CERT_FILE",
    "key_file": "PROMEDICAL_CLIENT_KEY_FILE",
}
"""The environment variable of each field, for commands and for integrations."""

_ENCRYPTED: Final = {"grpcs", "https"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is. It is checked when it is made; its files are read when a client is made.

    White space around the URL and the key is left out: files and variables often end in a line break.

    Attributes:
        url: `grpc://HOST:PORT`, `grpcs://HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`.
        api_key: Sent as `authorization: Bearer`; not shown when the address is printed.
        ca_file: PEM file of the authorities to trust for `grpcs://` and `https://`; without it, the usual ones.
        cert_file: PEM file of this client's certificate, for mutual TLS.
        key_file: PEM file of the certificate's key.

    Raises:
        MisconfiguredError: A field cannot be used; the error says what was expected.
    """

    url: str = DEFAULT_URL
    _: KW_ONLY
    api_key: str | None = field(default=None, repr=False)
    ca_file: str | Path | None = None
    cert_file: str | Path | None = None
    key_file: str | Path | None = None

    def __post_init__(self) -> None:
        for name in ("url", "api_key", "ca_file", "cert_file", "key_file"):
            _check_type(name, getattr(self, name))
        for name in ("url", "api_key"):
            text = getattr(self, name)
            object.__setattr__(self, name, text.strip() if text else text)
        parts = _parsed(self.url)
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key):
            raise MisconfiguredError(
                "api_key is empty or holds a character that headers cannot carry, such as a letter with an accent or "
                "a line break"
            )
        if any((self.ca_file, self.cert_file, self.key_file)) and not self.is_encrypted:
            raise MisconfiguredError(
                f"ca_file, cert_file and key_file are for TLS, and url is {self.url!r}; use {parts.scheme}s://"
            )

    @property
    def is_grpc(self) -> bool:
        """Whether it speaks gRPC; otherwise REST."""
        return urlsplit(self.url).scheme.startswith("grpc")

    @property
    def is_encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return urlsplit(self.url).scheme in _ENCRYPTED

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc


def _check_type(name: str, given: object) -> None:
    kinds = {"url": (str,), "api_key": (str, NoneType)}.get(name, (str, Path, NoneType))
    if not isinstance(given, kinds):
        expected = {"url": "a string or an Address", "api_key": "a string"}.get(name, "a path")
        raise MisconfiguredError(f"{name}: is of type {type(given).__name__}; expected {expected}")


def _parsed(url: str) -> SplitResult:
    expected = "expected grpc://HOST:PORT, grpcs://, http:// or https://"
    try:
        parts = urlsplit(url)
        if parts.username is not None:
            raise MisconfiguredError("url holds a user name; give api_key instead")
        port = parts.port
    except ValueError as error:
        if isinstance(error, MisconfiguredError):
            raise
        raise MisconfiguredError(f"url is {url!r}: {error}; {expected}") from None
    if parts.scheme not in {"grpc", "grpcs", "http", "https"} or not parts.hostname:
        raise MisconfiguredError(f"url is {url!r}; {expected}")
    if not url.isprintable() or " " in url:
        raise MisconfiguredError(f"url is {url!r}, with a character that no URL holds; {expected}")
    if parts.query or parts.fragment or (parts.scheme.startswith("grpc") and (port is None or parts.path.strip("/"))):
        raise MisconfiguredError(f"url is {url!r}; expected {parts.scheme}://HOST:PORT and nothing after it")
    return parts
