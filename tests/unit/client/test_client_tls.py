"""TLS and mutual TLS, over both transports."""

import asyncio
import datetime as dt
import ipaddress
import ssl

import grpc
import pytest
from anyio.from_thread import start_blocking_portal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from test_client_loopback import GrpcFace, HttpFace, Oracle, on_both_transports
from typer.testing import CliRunner

from promedical.v1 import reward_pb2_grpc as stubs
from promedical_client import Client, UnavailableError
from promedical_client.cli.app import app


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A self-signed certificate, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


async def start_grpc(cert, key):
    server = grpc.aio.server()
    stubs.add_RewardServiceServicer_to_server(GrpcFace(Oracle()), server)
    pair = [(key.read_bytes(), cert.read_bytes())]
    credentials = grpc.ssl_server_credentials(pair, cert.read_bytes(), require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    return f"grpcs://127.0.0.1:{port}", lambda: server.stop(None)


async def start_http(cert, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cert)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    face = HttpFace(Oracle())
    server = await asyncio.start_server(face.serve, "127.0.0.1", 0, ssl=context)

    async def stop():
        server.close()
        for writer in face.writers:
            writer.close()
        await asyncio.sleep(0.05)

    return f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", stop


@on_both_transports
def test_mutual_tls_works_and_strangers_are_not_trusted(transport, files):
    cert, key = files
    with start_blocking_portal() as portal:
        url, stop = portal.call({"grpc": start_grpc, "http": start_http}[transport], cert, key)
        with Client(url, ca_file=cert, cert_file=cert, key_file=key) as client:
            assert client.model().status == "fake"
        with Client(url, cert_file=cert, key_file=key, max_attempts=1) as client, pytest.raises(UnavailableError):
            client.model()
        portal.call(stop)


@on_both_transports
def test_the_command_line_reaches_a_service_with_mutual_tls(transport, files):
    cert, key = map(str, files)
    with start_blocking_portal() as portal:
        url, stop = portal.call({"grpc": start_grpc, "http": start_http}[transport], *files)
        words = ["model", "--url", url, "--ca-file", cert]
        by_options = CliRunner().invoke(app, [*words, "--cert-file", cert, "--key-file", key])
        names = {"PROMEDICAL_CLIENT_CERT_FILE": cert, "PROMEDICAL_CLIENT_KEY_FILE": key}
        by_environment = CliRunner().invoke(app, words, env=names)
        portal.call(stop)
    assert (by_options.exit_code, by_environment.exit_code) == (0, 0)
