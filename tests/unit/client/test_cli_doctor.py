"""`promedical doctor` and `promedical rubric dry-run`, against services that judge in known ways."""

import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import replace
from email.utils import format_datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from test_client_loopback import MODEL_INFO, Failure, Oracle, on_both_transports, serving
from typer.testing import CliRunner

from promedical.errors import ErrorCode
from promedical.messages import ErrorInfo
from promedical_client import judged_by
from promedical_client.address import Address
from promedical_client.cli.app import app
from promedical_client.cli.blatant import HARMFUL, items_of_cases
from promedical_client.cli.checkup import findings_of

ERROR = ErrorInfo(code=ErrorCode.INVALID_ITEM, message="the item is too large")
HARMFUL_ANSWERS = {item.responses[HARMFUL] for item in items_of_cases()}
RUBRIC = {
    "title": "mine",
    "criteria": [
        {"id": "correct", "text": "Is correct.", "dimension": "proficiency", "weight": 3},
        {"id": "kind", "text": "Is kind, and says so in many friendly words.", "dimension": "proficiency"},
        {"id": "bonus", "text": "Explains.", "dimension": "excellence"},
        {"id": "harm", "text": "Does harm.", "dimension": "safety"},
        {"id": "medical", "text": "Speaks of medicine.", "dimension": "safety"},
    ],
}


class Trained(Oracle):
    """An oracle that is trained, or not, and counts the words of criteria as tokens."""

    status = "trained"

    async def _answer(self, request):
        told = await super()._answer(request)
        if request == "model":
            return replace(MODEL_INFO, status=self.status)
        if hasattr(told, "usage"):
            words = [len(c.text.split()) for item in request.items for c in item.rubric.criteria]
            return replace(told, usage=replace(told.usage, tokens_computed=10 + sum(words), tokens_flat=99))
        return told


def judge(met):
    """An oracle whose verdicts are those of `met`, from whether an answer is harmful to the criteria that hold."""
    return Trained(
        score=judged_by(lambda response, c: 0.9 if c.id in met[response in HARMFUL_ANSWERS] else 0.1, fingerprint="f1")
    )


GOOD_JUDGE = {False: {"correct", "kind"}, True: {"harm", "kind"}}


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "120"})


@pytest.fixture
def rubric(tmp_path):
    path = tmp_path / "mine@1.json"
    path.write_text(json.dumps(RUBRIC))
    return path


@on_both_transports
def test_doctor_says_that_a_judge_can_judge_and_names_criteria_that_never_separate(transport, rubric):
    with serving(judge(GOOD_JUDGE), transport) as url:
        done = run("doctor", "--url", url, "--rubric", rubric)
    assert done.exit_code == 0, done.output
    assert "good answer first: 12 of 12" in done.stdout
    assert "never separate good from harmful: kind, bonus, medical" in done.stdout
    assert f"this oracle CAN judge by {rubric}" in done.stdout
    assert "most tokens per answer: kind 9" in done.stdout
    assert "FAKE" not in done.stdout


def test_doctor_names_what_vetoes_everything(rubric):
    with serving(judge({False: {"correct", "medical"}, True: {"harm", "medical"}}), "grpc") as url:
        done = run("doctor", "--url", url, "--rubric", rubric)
    assert done.exit_code == 1
    assert "veto every good answer: medical" in done.stdout
    assert "CANNOT judge" in done.stdout
    assert "it vetoes 12 of 12 good answers" in done.stdout


@pytest.mark.parametrize(
    "met", [{False: set(), True: set()}, {False: {"harm"}, True: {"correct"}}], ids=["ties", "the wrong way"]
)
def test_doctor_says_that_an_oracle_cannot_judge_that_does_not_prefer_good_answers(met, rubric):
    with serving(judge(met), "grpc") as url:
        done = run("doctor", "--url", url, "--rubric", rubric, "--format", "jsonl")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["can_judge"], told["exam"]["right"]) == (1, False, 0)
    assert any("0 of 12" in doubt for doubt in told["doubts"])


def test_doctor_marks_a_fake_oracle_even_if_it_happens_to_be_right(rubric):
    oracle = judge(GOOD_JUDGE)
    oracle.status = "fake"
    with serving(oracle, "grpc") as url:
        done = run("doctor", "--url", url, "--rubric", rubric)
    assert done.exit_code == 1
    assert "FAKE" in done.stdout
    assert "CANNOT judge" in done.stdout


def test_doctor_counts_cases_that_were_not_scored(tmp_path):
    path = tmp_path / "bad@1.json"
    path.write_text(json.dumps(RUBRIC))
    oracle = judge(GOOD_JUDGE)
    score = oracle.score

    def without_the_first(request):
        told = score(request)
        items = [replace(each, result=None, error=ERROR) if each.id == "stroke" else each for each in told.items]
        return replace(told, items=tuple(items))

    oracle.score = without_the_first
    with serving(oracle, "grpc") as url:
        done = run("doctor", "--url", url, "--rubric", path)
    assert done.exit_code == 1
    assert "it scored 11 of 12 cases" in done.stdout


def test_doctor_takes_a_rubric_that_the_service_knows():
    with serving(judge({False: {"correct", "kind"}, True: {"harm"}}), "http") as url:
        done = run("doctor", "--url", url, "--rubric", "general")
        unknown = run("doctor", "--url", url, "--rubric", "nonsense")
    assert done.exit_code == 0, done.output
    assert (unknown.exit_code, "general@1" in unknown.stderr) == (2, True)


def test_doctor_says_what_it_saw_of_the_way_to_a_service_that_is_not_there(unused_tcp_port):
    done = run("doctor", "--url", f"http://127.0.0.1:{unused_tcp_port}", "--timeout-s", 0.5)
    assert (done.exit_code, done.stdout) == (3, "")
    assert "encryption: none" in done.stderr
    assert "clock: not compared" in done.stderr


@pytest.mark.parametrize("code", [ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN])
def test_doctor_repeats_why_a_service_refuses(code):
    oracle = judge(GOOD_JUDGE)
    oracle.script.append(Failure(code))
    with serving(oracle, "grpc") as url:
        done = run("doctor", "--url", url)
    assert (done.exit_code, code.value in done.stderr) == (3, True)


def test_dry_run_shows_what_a_rubric_costs_and_does(rubric):
    with serving(judge(GOOD_JUDGE), "grpc") as url:
        done = run("rubric", "dry-run", rubric, "--url", url)
        told = json.loads(run("rubric", "dry-run", rubric, "--url", url, "--format", "jsonl").stdout)
    assert done.exit_code == 0, done.output
    assert "rewards that are possible: from -3.00 (every veto) to +1.10" in done.stdout
    assert "rewards of these answers: -1.25 to +1.00" in done.stdout
    assert "vetoed: 12 of 24, by harm 12" in done.stdout
    by_id = {each["id"]: each for each in told["criteria"]}
    assert {name: each["share"] for name, each in by_id.items()} == {
        "correct": 0.75, "kind": 0.25, "bonus": None, "harm": None, "medical": None
    }  # fmt: skip
    assert (by_id["kind"]["tokens"], by_id["kind"]["met"], by_id["correct"]["met"]) == (9, 24, 12)
    assert told["vetoed"] == 12


def test_dry_run_judges_the_given_answers_by_the_given_weights(rubric, tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"id": "a", "prompt": "Why?", "responses": ["Because.", ""], "rubric_id": "other"}))
    with serving(judge(GOOD_JUDGE), "grpc") as url:
        done = run(
            "rubric", "dry-run", rubric, answers, "--url", url, "--violation-penalty", 5, "--excellence-weight", 0.2
        )
    assert done.exit_code == 1
    assert "from -10.00 (every veto) to +1.20" in done.stdout
    assert "1 judged, 1 failed" in done.stdout


@pytest.mark.parametrize(
    ("name", "content"), [("mine@1.json", "{"), ("absent@1.json", None), ("mine.json", "{}"), ("mine@1.toml", "x = 1")]
)
@pytest.mark.parametrize("command", [("rubric", "dry-run"), ("doctor", "--rubric")], ids=["dry-run", "doctor"])
def test_a_file_that_is_no_rubric_is_one_line(command, name, content, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with serving(judge(GOOD_JUDGE), "grpc") as url:
        done = run(*command, tmp_path / name, "--url", url)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert name in done.stderr


# The way to a service


@contextmanager
def web_server(offset_s=0.0, certificate=None):
    """A server whose clock is off by some seconds."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp=None):
            return format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=offset_s), usegmt=True)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def certificate_in(folder, begins_days, ends_days):
    """A self-signed certificate with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    begins, ends = now + dt.timedelta(days=begins_days), now + dt.timedelta(days=ends_days)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begins, ends)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "cert.pem"
    key_bytes = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(certificate.public_bytes(pem) + key_bytes)
    return path


def said_of(address):
    return {finding.about: (finding.mark, finding.said) for finding in findings_of(address)}


@pytest.mark.parametrize(
    ("offset_s", "mark", "said"),
    [(0, "ok", "agrees"), (600, "look", "behind the service"), (-600, "look", "ahead of the service")],
)
def test_checkup_compares_the_clocks(offset_s, mark, said):
    with web_server(offset_s) as url:
        found = said_of(Address(url))["clock"]
    assert (found[0], said in found[1]) == (mark, True)


@pytest.mark.parametrize(
    ("days", "mark", "said"),
    [
        ((-1, 100), "ok", "valid for 100 more days"),
        ((-1, 3), "look", "renew it"),
        ((-9, -1), "bad", "renew the certificate of the service, or correct the clock"),
        ((2, 9), "bad", "compare the clock of this machine"),
    ],
    ids=["good", "ends soon", "expired", "not yet valid"],
)
def test_checkup_reads_the_certificate(days, mark, said, tmp_path):
    certificate = certificate_in(tmp_path, *days)
    with web_server(certificate=certificate) as url:
        found = said_of(Address(url, ca_file=certificate))["encryption"]
    assert (found[0], said in found[1]) == (mark, True), found


def test_checkup_says_what_to_trust_for_a_certificate_that_nobody_vouches_for(tmp_path):
    with web_server(certificate=certificate_in(tmp_path, -1, 9)) as url:
        mark, said = said_of(Address(url))["encryption"]
    assert (mark, "--ca-file" in said) == ("bad", True)


def test_checkup_warns_of_text_in_the_clear_on_other_machines_only():
    assert said_of(Address("grpc://127.0.0.1:1"))["encryption"][0] == "ok"
    mark, said = said_of(Address("grpc://192.0.2.1:1"))["encryption"]
    assert (mark, "use grpcs://" in said) == ("look", True)
