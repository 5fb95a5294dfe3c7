"""TLS files of an address, and what the environment says about TLS: read before the first call, with errors by name."""

import os
import ssl
from pathlib import Path
from typing import Final

from promedical_client.address import Address
from promedical_client.errors import MisconfiguredError

_OPENSSL_AUTHORITIES: Final = "SSL_CERT_FILE"
_GRPC_AUTHORITIES: Final = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"


def tls_context(address: Address) -> ssl.SSLContext:
    """The context of REST. Without TLS it reads no file and no variable, and trusts nobody.

    Raises:
        OSError: A TLS file cannot be opened.
        MisconfiguredError: A TLS file holds something else, or a variable names a file that cannot be used.
    """
    if not address.is_encrypted:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    check_tls_files(address)
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
    except OSError as error:  # all other files are checked, so this is the one that Python writes keys to
        file = os.environ.get("SSLKEYLOGFILE")
        raise MisconfiguredError(f"SSLKEYLOGFILE is {file}, which cannot be written: {error.strerror}") from None
    _load_certificate(context, address)
    return context


def check_tls_files(address: Address) -> None:
    """Read the files of an address and, if it names no authorities, those of the environment.

    OpenSSL and gRPC ignore authorities that are not there, and then trust nobody, or others, without saying why.

    Raises:
        OSError: A TLS file cannot be opened.
        MisconfiguredError: A TLS file holds something else, or a variable names a file that cannot be used.
    """
    for given in (address.ca_file, address.cert_file, address.key_file):
        if given:
            Path(given).read_bytes()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    variable = _GRPC_AUTHORITIES if address.is_grpc else _OPENSSL_AUTHORITIES
    name, file = ("ca_file", address.ca_file) if address.ca_file else (variable, os.environ.get(variable))
    if file:
        try:
            context.load_verify_locations(file)
        except OSError as error:
            raise MisconfiguredError(f"{name} is {file}: expected certificates in PEM: {error}") from None
    _load_certificate(context, address)


def _load_certificate(context: ssl.SSLContext, address: Address) -> None:
    if not address.cert_file:
        return
    try:
        context.load_cert_chain(address.cert_file, address.key_file, password=_refuse_password)
    except (OSError, ValueError) as error:
        message = f"cert_file is {address.cert_file}, key_file {address.key_file}: expected a certificate and its key"
        raise MisconfiguredError(f"{message} in PEM: {error}") from None


def _refuse_password() -> str:
    raise ValueError("the key is encrypted; store it without a passphrase")
