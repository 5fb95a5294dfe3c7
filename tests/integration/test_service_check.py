"""`promedical-serve --check` as a process of its own: what it finds, what it refuses, and what it does not import."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import trustme

WITHOUT_TORCH = """
import sys

class Refuse:
    def find_spec(name, *_):
        assert name.partition(".")[0] not in {"torch", "transformers", "vllm"}, name

sys.meta_path.insert(0, Refuse)
from promedical_service.__main__ import main
main()
"""
KEY = "0123456789abcdef"
RUBRIC = {"title": "House", "criteria": [{"id": "dose", "text": "Names the dose.", "dimension": "proficiency"}]}


def check(*flags, **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PROMEDICAL_")}
    program = [sys.executable, "-c", WITHOUT_TORCH, "--check", *flags]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60, env=inherited | environment)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def files(tmp_path):
    """Everything that settings can name, all of it good."""
    certificate = trustme.CA().issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    (tmp_path / "keys").write_text(f"trainer:{KEY}\n")
    (tmp_path / "rubrics").mkdir()
    (tmp_path / "rubrics" / "house@1.json").write_text(json.dumps(RUBRIC))
    return tmp_path


def flags_for(files):
    return (
        f"--keys-file={files / 'keys'}",
        f"--rubric-dir={files / 'rubrics'}",
        "--default-rubric=house",
        f"--tls-cert-file={files / 'tls.crt'}",
        f"--tls-key-file={files / 'tls.key'}",
        "--rate-limit=600/minute",
    )


def test_check_of_a_good_configuration_says_what_it_found_without_torch(files):
    shadow = ("--shadow-url=grpc://candidate:50051", "--shadow-share=0.25", f"--shadow-file={files / 'shadow.jsonl'}")
    code, said, complaints = check(*flags_for(files), *shadow)
    assert (code, complaints) == (0, "")
    assert "shadow: 0.25 of the requests to grpc://candidate:50051" in said.splitlines()
    assert not (files / "shadow.jsonl").exists()
    assert said.splitlines()[0] == "keys: 1 valid, 0 expired"
    assert said.splitlines()[1] == "rubrics: general-medical@1, house@1"
    assert said.splitlines()[-1] == "the configuration is valid"


def test_check_names_every_fault_and_quotes_no_key(files):
    (files / "keys").write_text(f"trainer:{KEY}\n{KEY}\n")
    (files / "rubrics" / "house@2.json").write_text("{")
    (files / "rubrics" / "house.toml").write_text("")
    (files / "tls.key").write_text("none")
    code, said, complaints = check(
        *flags_for(files),
        "--token-rate-limit=many",
        "--model=/nowhere",
        "--audit-file=/nowhere/a",
        "--shadow-file=/nowhere/s",
        "--shadow-url=grpc://candidate",
    )
    assert (code, said) == (2, "")
    starts = [
        "model: there is no folder /nowhere",
        f"keys_file: {files / 'keys'}, line 2: expected `name:key`",
        "token_rate_limit: expected one rate",
        "rubric_dir: house.toml: expected a file name",
        "rubric_dir: house@2.json: cannot be read as json",
        "tls_cert_file, tls_key_file: expected a PEM certificate and its key",
        "audit_file: /nowhere/a cannot be written",
        "shadow_file: /nowhere/s cannot be written",
        "shadow_url and its files: url is 'grpc://candidate'",
    ]
    lines = complaints.splitlines()
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(f"promedical-serve: {start}")
    assert KEY not in complaints


def test_check_names_settings_that_are_wrong():
    code, _, complaints = check(PROMEDICAL_MAX_ITEMS="many", PROMEDICAL_NO_SUCH="1")
    assert (code, "PROMEDICAL_NO_SUCH: no setting has this name" in complaints) == (2, True)


def test_check_refuses_keys_and_certificates_that_have_ended(files):
    line = {"name": "a", "key": KEY, "expires": "2020-01-01"}
    (files / "keys").write_text(json.dumps(line))
    old = trustme.CA().issue_cert("localhost", not_after=datetime.now(UTC) - timedelta(days=1))
    old.private_key_pem.write_to_path(files / "tls.key")
    old.cert_chain_pems[0].write_to_path(files / "tls.crt")
    code, _, complaints = check(*flags_for(files))
    assert code == 2
    assert "every key has expired" in complaints
    assert "tls_cert_file: a certificate in it has ended" in complaints
