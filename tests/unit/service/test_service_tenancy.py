"""Keys with rights: lines of the keys file, hashes, expiry, roles, lanes, and the command that makes keys."""

import json
import math
from datetime import UTC, datetime

import pytest

from promedical.errors import ErrorCode
from promedical_service.edges.access import Door
from promedical_service.errors import ServiceError
from promedical_service.settings import ConfigurationError
from promedical_service.tenancy import new_keys
from promedical_service.tenancy.key_ring import KeyRing
from promedical_service.tenancy.keys import hashed
from promedical_service.tenancy.keys_file import read_keys, read_line
from promedical_service.tenancy.tenant import Tenant

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
LIMITED = {
    "name": "trainer",
    "key": hashed(KEY),
    "roles": ["score"],
    "interactive": False,
    "requests": "600/minute",
    "tokens": "1000000/hour",
    "queue_share": 0.5,
    "expires": "2027-01-31T12:00:00+01:00",
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys"


def refusal(call, *arguments):
    with pytest.raises(ServiceError) as caught:
        call(*arguments)
    return caught.value


def test_keys_file_holds_plain_hashed_and_json_lines_side_by_side(file):
    file.write_text(f"plain:{KEY}\nhashed:{hashed(OTHER)}\n{json.dumps(LIMITED | {'key': 'third-key-0123456789'})}\n")
    ring = KeyRing(file)
    assert ring.tenant(KEY) == Tenant(name="plain")
    assert ring.tenant(OTHER) == Tenant(name="hashed")
    limited = ring.tenant("third-key-0123456789")
    assert (limited.name, limited.roles, limited.interactive, limited.queue_share) == (
        "trainer",
        frozenset({"score"}),
        False,
        0.5,
    )
    assert (str(limited.requests), str(limited.tokens)) == ("600 per 1 minute", "1000000 per 1 hour")


def test_hash_of_a_key_is_no_key(file):
    file.write_text(f"trainer:{hashed(KEY)}\n")
    ring = KeyRing(file)
    assert ring.tenant(KEY).name == "trainer"
    assert refusal(ring.tenant, hashed(KEY)).code is ErrorCode.UNAUTHENTICATED


FAULTY = {
    "no object": ("[]", "expected `name:key`"),
    "broken JSON": ('{"name": "a", "key": ', "expected a JSON object in one line"),
    "a field twice": ('{"name": "a", "name": "b", "key": "0123456789abcdef"}', "each field once"),
    "a field that is none": ({"name": "a", "key": KEY, "role": ["score"]}, "holds a field that does not exist"),
    "a key as a field": ({"name": "a", KEY: "x"}, "holds a field that does not exist"),
    "no key": ({"name": "a"}, "key: Field required"),
    "no name": ({"key": KEY}, "name: Field required"),
    "an empty name": ({"name": " ", "key": KEY}, "name: expected"),
    "a name over two lines": ({"name": "a\nb", "key": KEY}, "name: expected"),
    "a short key": ({"name": "a", "key": "short"}, "key: expected a key of at least 16"),
    "half a hash": ({"name": "a", "key": "sha256:0123456789abcdef"}, "key: expected sha256: and 64 hex digits"),
    "no role": ({"name": "a", "key": KEY, "roles": []}, "roles"),
    "a role that is none": ({"name": "a", "key": KEY, "roles": ["root"]}, "roles.0"),
    "a role as text": ({"name": "a", "key": KEY, "roles": "score"}, "roles"),
    "a truth value as text": ({"name": "a", "key": KEY, "interactive": "no"}, "interactive"),
    "a rate that is none": ({"name": "a", "key": KEY, "requests": "fast"}, "requests: expected one rate"),
    "a rate as a number": ({"name": "a", "key": KEY, "tokens": 600}, "tokens: expected one rate"),
    "a rate of nothing": ({"name": "a", "key": KEY, "tokens": "0/minute"}, "tokens: expected a rate of at least 1"),
    "a share of nothing": ({"name": "a", "key": KEY, "queue_share": 0}, "queue_share"),
    "more than all": ({"name": "a", "key": KEY, "queue_share": 1.5}, "queue_share"),
    "a time that is none": ({"name": "a", "key": KEY, "expires": "soon"}, "expires: expected a date"),
    "a time without a zone": ({"name": "a", "key": KEY, "expires": "2027-01-31T12:00:00"}, "expires: expected a time"),
    "a time as a number": ({"name": "a", "key": KEY, "expires": 1800000000}, "expires: expected text"),
}


@pytest.mark.parametrize(("line", "said"), FAULTY.values(), ids=FAULTY)
def test_line_that_cannot_be_read_lets_nobody_in_and_is_not_quoted(file, line, said):
    text = line if isinstance(line, str) else json.dumps(line)
    file.write_text(f"{text}\nother:{OTHER}\n")
    read = read_keys(file.read_bytes())
    assert [key.tenant.name for key in read.keys] == ["other"]
    (fault,) = read.faults
    assert fault.startswith(", line 1: ")
    assert said in fault
    assert KEY not in fault


def test_key_in_two_lines_has_the_rights_of_the_first_and_is_a_fault(file):
    file.write_text(f"trainer:{KEY}\n" + json.dumps({"name": "other", "key": KEY, "roles": ["admin"]}))
    read = read_keys(file.read_bytes())
    assert [key.tenant for key in read.keys] == [Tenant(name="trainer")]
    assert read.faults == (", line 2: the key of an earlier line again, with another name or other rights",)
    file.write_text(f"trainer:{KEY}\ntrainer:{hashed(KEY)}\n")
    assert read_keys(file.read_bytes()).faults == ()


@pytest.mark.parametrize(
    ("expires", "last", "first"),
    [
        ("2027-01-31", datetime(2027, 1, 30, 23, 59, 59, tzinfo=UTC), datetime(2027, 1, 31, tzinfo=UTC)),
        (
            "2027-01-31T12:00:00+01:00",
            datetime(2027, 1, 31, 10, 59, 59, tzinfo=UTC),
            datetime(2027, 1, 31, 11, tzinfo=UTC),
        ),
    ],
)
def test_key_is_refused_from_the_time_at_which_it_expires(file, expires, last, first):
    file.write_text(json.dumps({"name": "a", "key": hashed(KEY), "expires": expires}))
    now = last
    ring = KeyRing(file, today=lambda: now)
    assert ring.tenant(KEY).name == "a"
    now = first
    refused = refusal(ring.tenant, KEY)
    assert (refused.code, "has expired" in refused.message) == (ErrorCode.UNAUTHENTICATED, True)


def test_ring_tells_when_the_keys_of_each_name_end(file):
    ends = "2027-01-31T00:00:00Z"
    lines = [{"name": "a", "key": hashed(KEY), "expires": ends}, {"name": "a", "key": hashed(KEY + "2")}]
    file.write_text("\n".join(map(json.dumps, lines)))
    heard = []
    KeyRing(file, on_read=lambda ends, ok: heard.append((ends, ok)))
    assert heard == [({"a": [datetime(2027, 1, 31, tzinfo=UTC).timestamp(), math.inf]}, True)]


ALLOWED = {
    "score": {"ScoreBatch", "GetReward", "Predict", "GetModel", "GetRubric", "ListRubrics", "Other"},
    "rank": {"RankResponses", "Rerank", "GetModel", "GetRubric", "ListRubrics", "Other"},
    "metrics": {"Other"},
}
METHODS = set().union(*ALLOWED.values())


@pytest.mark.parametrize("role", [*ALLOWED, "admin"])
def test_role_allows_its_methods_and_no_others(role):
    tenant = Tenant(name="a", roles=frozenset({role}))
    for method in METHODS:
        if role == "admin" or method in ALLOWED[role]:
            tenant.check_may_call(method)
        else:
            assert refusal(tenant.check_may_call, method).code is ErrorCode.FORBIDDEN
    if role in {"metrics", "admin"}:
        tenant.check_may_scrape()
    else:
        assert "needs metrics" in refusal(tenant.check_may_scrape).message


def test_key_without_the_interactive_lane_gets_bulk_unless_it_insists():
    tenant = Tenant(name="a", interactive=False)
    assert tenant.lane(None, "interactive") == tenant.lane("bulk", "interactive") == "bulk"
    assert refusal(tenant.lane, "interactive", "interactive").code is ErrorCode.FORBIDDEN
    assert Tenant(name="a").lane(None, "interactive") == "interactive"
    assert Tenant(name="a").lane("interactive", "bulk") == "interactive"


async def test_door_delays_wrong_keys_after_ten_and_right_ones_never(file, monkeypatch):
    file.write_text(f"trainer:{KEY}\n")
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    door = Door(KeyRing(file), delay_s=7.0)
    for _ in range(12):
        with pytest.raises(ServiceError):
            await door.tenant(OTHER)
        with pytest.raises(ServiceError):
            await door.tenant(None)
        assert (await door.tenant(KEY)).name == "trainer"
    assert slept in ([7.0, 7.0], [7.0], []), "fewer if a minute began meanwhile"
    for _ in range(30):
        with pytest.raises(ServiceError):
            await door.tenant(OTHER)
    assert set(slept) == {7.0}


def test_keys_new_prints_the_key_once_and_a_line_without_it(capsys):
    asked = ["new", "trainer", "--role", "score", "--bulk-only", "--tokens", "100/minute", "--queue-share", "0.25"]
    assert new_keys.main([*asked, "--expires", "2027-12-31", "--requests", "5/second"]) == 0
    out, err = capsys.readouterr()
    key = err.splitlines()[-1]
    assert len(key) >= 43
    assert key not in out
    read = read_line(out.strip())
    assert (read.tenant.name, read.tenant.roles, read.tenant.interactive) == ("trainer", frozenset({"score"}), False)
    assert read.expires == datetime(2027, 12, 31, tzinfo=UTC)
    assert read.digest == read_line(f"trainer:{key}").digest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["new"], "NAME"),
        (["new", "a", "--role", "root"], "--role"),
        (["new", "a", "--expires", "soon"], "expires: expected a date"),
        (["new", "a", "--queue-share", "2"], "queue_share"),
        (["new", "a", "--tokens", "many"], "tokens: expected one rate"),
        (["new", ""], "name: expected"),
    ],
)
def test_keys_new_refuses_what_the_service_could_not_read(capsys, arguments, said):
    with pytest.raises(ConfigurationError, match=said):
        new_keys.main(arguments)
    assert capsys.readouterr().out == ""
