"""The endpoint file is read strictly, and no key stands in it, in a message or in a representation."""

from pathlib import Path

import pytest

from promedical_curation.asking.endpoints import Endpoint, read_endpoints
from promedical_curation.errors import CurationError

GOOD = """
endpoints:
  difficulty: {base_url: "http://127.0.0.1:8000/v1", model: m, key_env: MY_KEY, prices: {input: 1, output: 2}}
  candidates:
    - {base_url: "https://a.example/v1", model: a, output: none, parameters: {temperature: 0.7}}
    - {base_url: "https://b.example/v1", model: b, output: json_object, seed: true}
"""
ONE = '{base_url: "http://h/v1", model: m%s}'


def read(tmp_path: Path, text: str | bytes):
    path = tmp_path / "endpoints.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_endpoints(path)


def test_roles_have_one_endpoint_or_several_with_names(tmp_path):
    known = read(tmp_path, GOOD)
    assert known.one("difficulty").prices.output == 2
    assert [each.name for each in known.all("candidates")] == ["candidates/1", "candidates/2"]
    assert sorted(known.by_name()) == ["candidates/1", "candidates/2", "difficulty"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda known: known.one("candidates"), "role candidates has 2 endpoints; expected one"),
        (
            lambda known: known.all("judges"),
            "names no endpoint for the role judges; its roles are candidates, difficulty",
        ),
    ],
    ids=["several", "none"],
)
def test_role_that_is_not_there_as_expected_is_named(tmp_path, ask, message):
    with pytest.raises(CurationError, match=message):
        ask(read(tmp_path, GOOD))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one mapping named endpoints"),
        ("endpoints:", "expected one mapping named endpoints"),
        ("endpoints: []", "expected one mapping named endpoints"),
        ("- a", "expected one mapping named endpoints"),
        ("endpoints: {a: {}}\nmore: 1", "expected one mapping named endpoints"),
        ("endpoints: {a: [}", "is not YAML in line 1"),
        ("endpoints:\n  a: 1\n  a: 2", "a stands twice"),
        (b"endpoints: \xff", "is not UTF-8"),
        ("endpoints: {a: 3}", "endpoint a is not a mapping"),
        ("endpoints: {a: []}", "role a is an empty list"),
        ("endpoints: {a: {model: m}}", "base_url: Missing|base_url: Field required"),
        ("endpoints: {a: %s}" % (ONE % ", modle: x"), "modle: Unexpected|modle: Extra"),
        ("endpoints: {a: %s}" % (ONE % ", max_in_flight: 0"), "max_in_flight is 0: expected 1 or more"),
        ("endpoints: {a: %s}" % (ONE % ", max_in_flight: true"), "max_in_flight: Input should be a valid integer"),
        ("endpoints: {a: %s}" % (ONE % ", timeout_s: -1"), "timeout_s is -1.0: expected seconds above 0"),
        ("endpoints: {a: %s}" % (ONE % ", output: yaml"), "output: Input should be 'json_schema'"),
        ("endpoints: {a: %s}" % (ONE % ", prices: {input: -1, output: 0}"), "expected finite prices"),
        ("endpoints: {a: %s}" % (ONE % ", prices: {input: 1}"), "prices.output"),
        ("endpoints: {a: %s}" % (ONE % ", parameters: {max_tokens: 3}"), "parameters has max_tokens"),
        ("endpoints: {a: %s}" % (ONE % ", name: b"), "name is not a setting"),
        ("endpoints: {a: {base_url: ftp://h, model: m}}", "expected an address such as http"),
        ("endpoints: {a: {base_url: http, model: m}}", "expected an address such as http"),
        ("endpoints: {a: {base_url: 'http://h:99999/v1', model: m}}", "expected an address such as http"),
        ("endpoints: {a: {base_url: 'http://h', model: ''}}", "model is empty"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_file_that_cannot_be_used_is_refused_with_what_to_do(tmp_path, text, message):
    with pytest.raises(CurationError, match=message) as caught:
        read(tmp_path, text)
    assert "endpoints.yaml" in str(caught.value)


@pytest.mark.parametrize(
    "where",
    [
        ", api_key: sk-secret",
        ", key: sk-secret",
        ", token: sk-secret",
        ", key_env: sk-secret",
        ", password: sk-secret",
    ],
)
def test_key_in_the_file_is_refused_and_not_repeated(tmp_path, where):
    with pytest.raises(CurationError, match="environment variable") as caught:
        read(tmp_path, "endpoints: {a: %s}" % (ONE % where))
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://u:sk-secret@h/v1", "http://h/v1?key=sk-secret", "http://h/v1#sk-secret"])
def test_key_in_the_address_is_refused_and_not_repeated(tmp_path, url):
    with pytest.raises(CurationError, match="base_url holds more than an address") as caught:
        read(tmp_path, f"endpoints: {{a: {{base_url: '{url}', model: m}}}}")
    assert "sk-secret" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CurationError, match="cannot be read: No such file"):
        read_endpoints(tmp_path / "absent.yaml")


@pytest.mark.parametrize("value", [None, "", "  "])
def test_key_that_is_not_set_is_named_by_its_variable(monkeypatch, value):
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(CurationError, match="the environment variable MY_KEY is not set"):
        Endpoint(name="a", base_url="http://h/v1", model="m", key_env="MY_KEY").key()


def test_key_that_no_header_can_hold_is_refused_and_not_repeated(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-sécret")
    with pytest.raises(CurationError, match="holds characters that no key has") as caught:
        Endpoint(name="a", base_url="http://h/v1", model="m", key_env="MY_KEY").key()
    assert "cret" not in str(caught.value)


def test_key_is_not_in_the_endpoint(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret\n")
    endpoint = Endpoint(name="a", base_url="http://h/v1", model="m", key_env="MY_KEY")
    assert endpoint.key() == "sk-secret"
    assert "sk-secret" not in repr(endpoint)
