"""API keys and TLS files."""

import hmac
import os
import pickle
from types import SimpleNamespace

import pytest
import structlog

from promedical_service.edges.access import presented_key
from promedical_service.edges.tls import load_tls
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError, Settings
from promedical_service.tenancy.key_ring import KeyRing

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys"


def test_key_ring_without_a_file_lets_everybody_in():
    ring = KeyRing(None)
    assert not ring.required
    assert ring.tenant(None).name == ring.tenant("anything").name == "anonymous"


def test_key_ring_names_the_owner_and_allows_two_keys_while_one_is_replaced(file):
    file.write_text(f"# keys\n\ntrainer: {KEY}\n  trainer:{OTHER}  \nbench:with:colons:0123456789\n")
    ring = KeyRing(file)
    assert ring.tenant(KEY).name == ring.tenant(OTHER).name == "trainer"
    assert ring.tenant("with:colons:0123456789").name == "bench"


@pytest.mark.parametrize("presented", [None, "", KEY[:-1], KEY + "0", "trainer", "\udcff" * 16, "ключ" * 5])
def test_key_ring_refuses_every_other_key(file, presented):
    file.write_text(f"trainer:{KEY}")
    with pytest.raises(ServiceError) as caught:
        KeyRing(file).tenant(presented)
    assert caught.value.code == "unauthenticated"
    assert not presented or presented not in caught.value.message.split()


def test_key_ring_holds_no_key_and_compares_every_hash_in_constant_time(file, monkeypatch):
    file.write_text(f"trainer:{KEY}\nbench:{OTHER}\n")
    ring, compared = KeyRing(file), []

    def compare(one, other):
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr("promedical_service.tenancy.key_ring.hmac", SimpleNamespace(compare_digest=compare))
    assert ring.tenant(KEY).name == "trainer"
    assert len(compared) == 2, "one more than would do"
    assert KEY.encode() not in pickle.dumps([vars(ring)["_read"], vars(ring)["_seen"], compared])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("# only a comment", "holds no key"),
        (KEY, "line 1: expected `name:key`"),
        (f":{KEY}", "line 1: expected `name:key`"),
        (f"\n{KEY}\nshort:abc", "line 3: expected a key of at least 16 ASCII characters"),
        ("spaced:0123456789 abcdef", "line 1: expected a key of at least 16 ASCII characters"),
        ("umlaut:ÄÖÜäöüß0123456789", "line 1: expected a key of at least 16 ASCII characters"),
    ],
)
def test_key_ring_refuses_a_bad_file_without_quoting_it(file, text, said):
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="keys_file") as caught:
        KeyRing(file)
    assert said in str(caught.value)
    assert KEY not in str(caught.value)


def test_key_ring_refuses_a_missing_file(file):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        KeyRing(file)


class Clock:
    """Every look at it is later than the ring's last look at its file."""

    now = 0.0

    def __call__(self):
        self.now += 2.0
        return self.now


def knows(ring, key):
    try:
        return bool(ring.tenant(key).name)
    except ServiceError:
        return False


def test_key_ring_looks_at_its_file_once_a_second(file):
    now = 0.0
    file.write_text(f"trainer:{KEY}")
    ring = KeyRing(file, clock=lambda: now)
    file.write_text(f"trainer2:{OTHER}")
    assert ring.tenant(KEY).name == "trainer"
    now = 2.0
    assert ring.tenant(OTHER).name == "trainer2"
    assert not knows(ring, KEY)


REVOKED = {
    "a slip beside": f"bench:{OTHER}\nno colon here\n".encode(),
    "a slip before": f"short:abc\nbench:{OTHER}\n".encode(),
    "not UTF-8 beside": b"bench:" + OTHER.encode() + b"\nb\xe4nch:0123456789abcdefgh\n",
    "only a slip": b"nonsense",
    "empty": b"",
    "only a comment": b"# later",
    "UTF-16": f"bench:{OTHER}".encode("utf-16"),
    "nothing but zeros": bytes(100),
    "a name without a key": b"trainer:\n",
    "deleted": None,
}


@pytest.mark.parametrize("content", REVOKED.values(), ids=REVOKED)
def test_key_ring_refuses_a_removed_key_whatever_else_the_file_holds(file, content):
    heard = []
    file.write_text(f"trainer:{KEY}\nbench:{OTHER}")
    ring = KeyRing(file, on_read=lambda _, ok: heard.append(ok), clock=Clock())
    assert knows(ring, KEY)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert not knows(ring, KEY)
    assert knows(ring, OTHER) is (OTHER.encode() in (content or b""))
    file.write_text(f"trainer:{KEY}")
    assert knows(ring, KEY)
    assert heard == [True, False, True]


def test_key_ring_sees_a_change_of_the_same_size_and_time(file):
    file.write_text(f"trainer:{KEY}")
    ring, status = KeyRing(file, clock=Clock()), file.stat()
    file.write_text(f"trainer:{OTHER}")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not knows(ring, KEY)


def test_key_ring_names_bad_lines_by_number_and_never_quotes_them(file):
    file.write_text(f"trainer:{KEY}\n{OTHER}\n\nshort:abc\n")
    with structlog.testing.capture_logs() as lines:
        assert knows(KeyRing(file), KEY)
    (line,) = lines
    assert (line["log_level"], line["keys"], line["faults"]) == ("error", 1, 2)
    assert [reason.partition(":")[0] for reason in line["reasons"]] == ["line 2", "line 4"]
    assert OTHER not in str(line)
    assert "abc" not in str(line)


def test_presented_key_is_found_in_both_headers():
    assert presented_key({"authorization": f"Bearer {KEY}"}) == KEY
    assert presented_key({"authorization": f"bearer  {KEY} "}) == KEY
    assert presented_key({"x-api-key": KEY}) == KEY
    assert presented_key({"authorization": f"Basic {KEY}"}) is None
    assert presented_key({}) is None


def test_tls_is_off_by_default():
    assert load_tls(Settings()) is None


def test_tls_refuses_files_that_are_no_pem(tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="tls_cert_file"):
        load_tls(Settings(tls_cert_file=bad, tls_key_file=bad))
    with pytest.raises(ConfigurationError, match="tls_cert_file"):
        load_tls(Settings(tls_cert_file=tmp_path / "none", tls_key_file=bad))
