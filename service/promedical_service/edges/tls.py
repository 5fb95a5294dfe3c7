"""TLS files: read and checked before a port opens, and read again when they change, so renewal needs no restart.

New connections get the new certificate. If changed files do not fit together, the log and a metric say so and the old
ones stay: a service that nobody can reach would be no safer.
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509

from promedical_service.settings import ConfigurationError, Settings
from promedical_service.telemetry.logs import get_logger

Lives = Mapping[str, tuple[float, float]]
"""For each setting that names certificates: from when to when, in Unix time, the one is valid that ends first."""


class ServerTls:
    """The certificate, its key and, for mutual TLS, the authorities of clients.

    Attributes:
        context: The context for a server on Python's ssl. Every handshake uses the files as they were last read.
        certificate: The certificate chain in PEM.
        key: The private key in PEM.
        client_ca: The authorities in PEM; None if clients show no certificate.
        version: A number that grows with every change.

    Args:
        certificate: The file of the certificate chain.
        key: The file of its key.
        client_ca: The file of the authorities of clients; None if clients show no certificate.
        on_read: It is told of every look at new files: when their certificates end, or None if they cannot be used.

    Raises:
        ConfigurationError: A file is missing or is not PEM, or the key does not belong to the certificate.
    """

    def __init__(
        self, certificate: Path, key: Path, client_ca: Path | None, on_read: Callable[[Lives | None], None]
    ) -> None:
        self._files = (certificate, key, client_ca)
        self._on_read = on_read
        self._log = get_logger("promedical.tls")
        self.context = self._current = _checked(*self._files)
        self.context.sni_callback = self._use_current
        self.version = 0
        self._seen = self._contents()
        self._take("TLS files read")

    def reread(self) -> None:
        """Use the changed files, if they are valid."""
        contents = self._contents()
        if contents == self._seen:
            return
        try:
            checked = _checked(*self._files)
        except ConfigurationError as error:
            self._seen = contents
            self._log.error("TLS files not read, the old certificate stays", reason=str(error))
            self._on_read(None)
            return
        if self._contents() == contents:  # otherwise they are being written, and the next look sees more
            self._current, self._seen = checked, contents
            self._take("TLS files read again")
            self.version += 1

    def _use_current(self, connection: ssl.SSLObject, *_: Any) -> None:
        """Every handshake calls this, whether or not the client names a server."""
        connection.context = self._current

    def _contents(self) -> tuple[bytes | None, ...]:
        """What the files hold; None for one that is missing. Time and size of a file need not change with it."""
        return tuple(_content(file) for file in self._files)

    def _take(self, message: str) -> None:
        certificate, key, self.client_ca = self._seen
        self.certificate, self.key = certificate or b"", key or b""
        lives = _lives({"tls_cert_file": self.certificate, "tls_client_ca_file": self.client_ca})
        self._log.info(message, ends={file: round(ends) for file, (_, ends) in lives.items()})
        self._on_read(lives)


def load_tls(settings: Settings, on_read: Callable[[Lives | None], None] = lambda _: None) -> ServerTls | None:
    """Read the TLS files; None where TLS is off.

    Raises:
        ConfigurationError: The files cannot be used; see `ServerTls`.
    """
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return ServerTls(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file, on_read)


def _checked(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"tls_cert_file, tls_key_file: expected a PEM certificate and its key: {error}"
        ) from None
    if client_ca is not None:
        _trust_clients_of(client_ca, context)
    return context


def _trust_clients_of(client_ca: Path, context: ssl.SSLContext) -> None:
    try:
        context.load_verify_locations(client_ca)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"tls_client_ca_file: expected certificates in PEM: {error}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # a ticket would let a client in again whose authority was removed


def _content(file: Path | None) -> bytes | None:
    try:
        return file.read_bytes() if file else None
    except OSError:
        return None


def _lives(files: Mapping[str, bytes | None]) -> Lives:
    lives = {}
    for name, pem in files.items():
        first = min(_certificates(pem or b""), key=lambda each: each.not_valid_after_utc, default=None)
        if first is not None:
            lives[name] = (first.not_valid_before_utc.timestamp(), first.not_valid_after_utc.timestamp())
    return lives


def _certificates(pem: bytes) -> list[x509.Certificate]:
    """None of those that OpenSSL reads and this library does not: their end is unknown, but they can be served."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return []


def _refuse_password() -> str:
    raise ValueError("the key is encrypted; store it without a passphrase")
