"""TLS and mutual TLS on both transports, with certificates made here."""

import asyncio
import datetime as dt
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from edges_kit import SERVING, running, statuses, until

from promedical.v1 import reward_pb2 as pb
from promedical.v1 import reward_pb2_grpc as pb_grpc

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


VERSIONS = [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path


class Authority:
    """Signs certificates; its own is self-signed."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self.key, name, ca=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key, self.name, ca=False)
        pair = Pair(self.folder / f"{self.name}-{name}.crt", self.folder / f"{self.name}-{name}.key")
        pair.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        pair.key.write_bytes(key.private_bytes(*pem))
        return pair

    def _sign(self, name, key, issuer, *, ca):
        def named(text):
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        now = dt.datetime.now(dt.UTC)
        ours, theirs = self.key.public_key(), key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(theirs)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(theirs), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(**dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True})
            builder = builder.add_extension(usage, critical=True)
        else:
            alternatives = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@dataclass(frozen=True)
class Pki:
    ours: Authority
    other: Authority
    server: Pair


@pytest.fixture
def pki(tmp_path):
    ours = Authority(tmp_path, "ours")
    return Pki(ours, Authority(tmp_path, "other"), ours.issue("server"))


async def ask_rest(server, authority, client=None):
    context = ssl.create_default_context(cafile=authority.file)
    if client:
        context.load_cert_chain(client.cert, client.key)
    async with httpx.AsyncClient(verify=context) as http:
        return (await http.get(f"https://127.0.0.1:{server.ports.rest}/v1/model")).status_code


async def ask_grpc(server, authority, client=None):
    credentials = grpc.ssl_channel_credentials(
        authority.file.read_bytes(),
        client.key.read_bytes() if client else None,
        client.cert.read_bytes() if client else None,
    )
    async with grpc.aio.secure_channel(server.grpc_target, credentials) as channel:
        stub = pb_grpc.RewardServiceStub(channel)
        return (await stub.GetModel(pb.GetModelRequest(), timeout=5)).status


def files(pki, **more):
    return {"tls_cert_file": pki.server.cert, "tls_key_file": pki.server.key, **more}


async def test_tls_serves_both_transports_and_health_stays_plaintext(pki):
    async with running(health_port=0, **files(pki)) as server:
        assert await ask_rest(server, pki.ours) == 200
        assert await ask_grpc(server, pki.ours) == "fake"
        with pytest.raises(httpx.ConnectError):
            await ask_rest(server, pki.other)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask_grpc(server, pki.other)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(httpx.HTTPError):
            async with httpx.AsyncClient() as plain:
                await plain.get(f"{server.rest_url}/healthz")
        assert await statuses(f"127.0.0.1:{server.ports.health}") == [SERVING] * 4


def greeted(port, version):
    """Whether a handshake with this version of TLS, and no later one, is answered."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # so that it is the server that refuses
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain) as secure:
                return secure.version() is not None
        except (ssl.SSLError, ConnectionError):
            return False


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_of_old_versions_is_refused_on_both_transports(pki):
    async with running(**files(pki)) as server:
        for port in (server.ports.rest, server.ports.grpc):
            taken = [await asyncio.to_thread(greeted, port, version) for version in VERSIONS]
            assert taken == [False, False, True, True], port


async def test_mutual_tls_wants_a_certificate_of_the_right_authority(pki):
    good, stranger = pki.ours.issue("client"), pki.other.issue("client")
    async with running(**files(pki, tls_client_ca_file=pki.ours.file)) as server:
        assert await ask_rest(server, pki.ours, good) == 200
        assert await ask_grpc(server, pki.ours, good) == "fake"
        for client in (None, stranger):
            with pytest.raises(httpx.HTTPError):
                await ask_rest(server, pki.ours, client)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask_grpc(server, pki.ours, client)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("promedical_service.server._REREAD_S", 0.02)


async def answered(ask, *arguments):
    """Whether it is within a few seconds: the files are looked at now and then."""
    for _ in range(200):
        try:
            await ask(*arguments)
        except (httpx.HTTPError, grpc.aio.AioRpcError):
            await asyncio.sleep(0.02)
        else:
            return True
    return False


@pytest.mark.parametrize("ask", [ask_rest, ask_grpc])
async def test_renewed_certificate_is_served_without_a_restart(pki, quick, ask):
    async with running(**files(pki)) as server:
        await ask(server, pki.ours)
        renewed = pki.other.issue("server")
        pki.server.key.write_bytes(renewed.key.read_bytes())
        pki.server.cert.write_bytes(renewed.cert.read_bytes())

        assert await answered(ask, server, pki.other)
        with pytest.raises((httpx.ConnectError, grpc.aio.AioRpcError)):
            await ask(server, pki.ours)


@pytest.mark.parametrize("ask", [ask_rest, ask_grpc])
async def test_renewed_certificate_of_the_same_size_and_time_is_served(pki, quick, ask):
    pair = (pki.server.cert, pki.server.key)
    longest = max(len(file.read_bytes()) for file in pair) + 100
    for file in pair:
        file.write_bytes(file.read_bytes().ljust(longest, b"\n"))
    async with running(**files(pki)) as server:
        await ask(server, pki.ours)
        renewed = pki.other.issue("server")
        for file, new in zip(pair, (renewed.cert, renewed.key), strict=True):
            times = file.stat()
            with file.open("r+b") as stream:
                stream.write(new.read_bytes().ljust(longest, b"\n"))
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert await answered(ask, server, pki.other)


@pytest.mark.parametrize("ask", [ask_rest, ask_grpc])
async def test_files_that_do_not_fit_leave_the_old_certificate_until_they_do(pki, quick, ask, capsys):
    async with running(**files(pki)) as server:
        renewed = pki.other.issue("server")
        pki.server.cert.write_bytes(renewed.cert.read_bytes())  # without its key
        await until(lambda: "the old certificate stays" in capsys.readouterr().out)
        await ask(server, pki.ours)
        assert b"promedical_tls_files_ok 0.0" in server.metrics.exposition()

        pki.server.key.write_bytes(renewed.key.read_bytes())
        assert await answered(ask, server, pki.other)
        assert b"promedical_tls_files_ok 1.0" in server.metrics.exposition()


async def test_tls_files_that_are_gone_show_in_the_metrics_though_nobody_calls(pki, quick, capsys):
    async with running(**files(pki, tls_client_ca_file=pki.ours.file)) as server:
        for file in (pki.ours.file, pki.server.key):
            content = file.read_bytes()
            file.unlink()
            await until(lambda: b"promedical_tls_files_ok 0.0" in server.metrics.exposition())
            await until(lambda: "TLS files not read" in capsys.readouterr().out)
            file.write_bytes(content)
            await until(lambda: b"promedical_tls_files_ok 1.0" in server.metrics.exposition())


async def test_metrics_say_when_the_first_certificate_of_a_file_ends(pki):
    def ends(pem):
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()

    trusted, later = pki.ours.folder / "clients.pem", pki.other.file.read_bytes()
    first = pki.ours.file.read_bytes()
    trusted.write_bytes(later + first)
    async with running(**files(pki, tls_client_ca_file=trusted)) as server:
        shown = {
            sample.labels["file"]: sample.value
            for metric in server.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == "promedical_certificate_ends_timestamp_seconds"
        }
    assert shown["tls_cert_file"] == ends(pki.server.cert.read_bytes())
    assert shown["tls_client_ca_file"] == min(ends(first), ends(later))


@pytest.mark.parametrize("ask", [ask_rest, ask_grpc])
async def test_authority_of_clients_that_is_added_is_trusted_without_a_restart(pki, quick, ask):
    client, trusted = pki.other.issue("client"), pki.ours.folder / "clients.pem"
    trusted.write_bytes(pki.ours.file.read_bytes())
    async with running(**files(pki, tls_client_ca_file=trusted)) as server:
        with pytest.raises((httpx.HTTPError, grpc.aio.AioRpcError)):
            await ask(server, pki.ours, client)
        trusted.write_bytes(pki.ours.file.read_bytes() + pki.other.file.read_bytes())

        assert await answered(ask, server, pki.ours, client)
        await ask(server, pki.ours, pki.ours.issue("client"))


@pytest.mark.parametrize("ask", [ask_rest, ask_grpc])
async def test_authority_of_clients_that_is_removed_is_not_trusted_any_more(pki, quick, ask):
    client, trusted = pki.other.issue("client"), pki.ours.folder / "clients.pem"
    trusted.write_bytes(pki.ours.file.read_bytes() + pki.other.file.read_bytes())
    async with running(**files(pki, tls_client_ca_file=trusted)) as server:
        await ask(server, pki.ours, client)
        trusted.write_bytes(pki.ours.file.read_bytes())

        assert not await still_answered(ask, server, pki.ours, client)
        await ask(server, pki.ours, pki.ours.issue("client"))


async def still_answered(ask, *arguments):
    """Whether it is after a few seconds: the files are looked at now and then."""
    for _ in range(200):
        try:
            await ask(*arguments)
        except (httpx.HTTPError, grpc.aio.AioRpcError):
            return False
        await asyncio.sleep(0.02)
    return True
