"""`promedical doctor` and `promedical rubric dry-run` against a real service."""

import json

import pytest
from typer.testing import CliRunner

from promedical_client.cli.app import app


def run(*words):
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "120"})


@pytest.mark.parametrize("wire", ["rest_url", "grpc_url"])
def test_doctor_marks_a_fake_engine_and_does_not_trust_it(fake_server, wire):
    done = run("doctor", "--url", getattr(fake_server, wire))
    assert done.exit_code == 1
    assert "FAKE ORACLE" in done.stdout
    assert "this oracle CANNOT judge by general-medical: it is fake" in done.stdout
    clock = "agrees with this machine's" if wire == "rest_url" else "gRPC tells no time"
    assert clock in done.stdout


def test_dry_run_measures_what_each_criterion_costs(fake_server, tmp_path):
    texts = {"short": "Is kind.", "long": "Is kind. " * 20}
    criteria = [{"id": name, "text": text, "dimension": "excellence"} for name, text in texts.items()]
    path = tmp_path / "mine@1.json"
    path.write_text(json.dumps({"$schema": "rubric.schema.json", "title": "mine", "criteria": criteria}))
    done = run("rubric", "dry-run", str(path), "--url", fake_server.grpc_url, "--format", "jsonl")
    told = json.loads(done.stdout)
    short, long = (each["tokens"] for each in told["criteria"])
    assert done.exit_code == 0
    assert long - short == len(texts["long"]) - len(texts["short"])  # the fake engine reads one token per byte
    assert (told["fake"], told["range"]) == (True, {"lowest": 0.0, "without_veto": 0.0, "highest": 0.2})
