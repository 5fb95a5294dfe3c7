"""TLS files: read and checked before a port opens, and read again when they change, so renewal needs no restart.

New connections get the new certificate. If changed files do not fit together, that is logged and the old ones stay.
"""

import ssl
from pathlib import Path

from promedical_service.edges.access import file_stamp
from promedical_service.settings import ConfigurationError, Settings
from promedical_service.telemetry.logs import get_logger


class ServerTls:
    """The certificate, its key and, for mutual TLS, the authorities of clients.

    Attributes:
        context: The context for a server on Python's ssl. Authorities are only added to it: REST trusts an authority
            that was removed from the file until the next restart; gRPC does not.
        certificate: The certificate chain in PEM.
        key: The private key in PEM.
        client_ca: The authorities in PEM; None if clients show no certificate.
        version: A number that grows with every change.

    Raises:
        ConfigurationError: A file is missing or is not PEM, or the key does not belong to the certificate.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._files = (certificate, key, client_ca)
        self._seen = [file_stamp(file) for file in self._files]
        self.context = _checked(certificate, key, client_ca)
        self.version = 0
        self._log = get_logger("promedical.tls")
        self._read()

    def reread(self) -> None:
        """Use the changed files, if they are valid."""
        stamps = [file_stamp(file) for file in self._files]
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            _checked(*self._files)
            _load(self.context, *self._files)
            self._read()
        except (ConfigurationError, OSError) as error:
            self._log.error("TLS files not read, the old certificate stays", reason=str(error))
            return
        self.version += 1
        self._log.info("TLS files read again")

    def _read(self) -> None:
        certificate, key, client_ca = self._files
        self.certificate, self.key = certificate.read_bytes(), key.read_bytes()
        self.client_ca = client_ca.read_bytes() if client_ca else None


def load_tls(settings: Settings) -> ServerTls | None:
    """Read the TLS files; None where TLS is off.

    Raises:
        ConfigurationError: The files cannot be used; see `ServerTls`.
    """
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return ServerTls(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)


def _checked(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """Load the files into a new context, so that files that do not fit never touch the one in use."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key, client_ca)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path, client_ca: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"tls_cert_file, tls_key_file: expected a PEM certificate and its key: {error}"
        ) from None
    if client_ca is None:
        return
    try:
        context.load_verify_locations(client_ca)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"tls_client_ca_file: expected certificates in PEM: {error}") from None
    context.verify_mode = ssl.CERT_REQUIRED


def _refuse_password() -> str:
    raise ValueError("the key is encrypted; store it without a passphrase")
