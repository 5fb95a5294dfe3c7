"""`promedical-bench load` as a command, against the real service with the fake engine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from test_bench_quality import bench


@pytest.mark.parametrize("wire", ["grpc_url", "rest_url"])
def test_load_of_trainers_and_a_product_is_measured_and_reported(fake_server, tmp_path, wire):
    run = bench("load", "--url", getattr(fake_server, wire), "--output", tmp_path, "--rate", 5, "--trainers", 2,
                "--responses", 2, "--criteria", 3, "--seconds", 3, "--warm-up", 1)  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("scores per second: ")
    report = json.loads((tmp_path / "report.json").read_text())
    lanes = report["summary"]["lanes"]
    assert set(lanes) == {"bulk", "interactive"}
    assert all(lane["failures"] == {} and lane["calls"] > 3 for lane in lanes.values())
    assert report["summary"]["scores_per_s"] == pytest.approx(sum(lane["scores_per_s"] for lane in lanes.values()))
    assert lanes["bulk"]["scores_per_s"] > 6
    assert report["summary"]["reuse"] > 1
    assert report["plan"]["group"]["responses"] == 2
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 1
    assert "speed says nothing about a model" in page
    assert "| bulk (trainers) |" in (tmp_path / "report.md").read_text()


def test_load_that_the_service_refuses_is_counted_by_its_code(fake_server, tmp_path):
    run = bench("load", "--url", fake_server.grpc_url, "--output", tmp_path, "--criteria", 500, "--seconds", 2,
                "--warm-up", 0, "--responses", 1)  # fmt: skip

    assert run.returncode == 1
    assert "failures under load" in run.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    (codes,) = [lane["failures"] for lane in report["summary"]["lanes"].values()]
    assert set(codes) <= {"too_large", "invalid_item", "invalid_request"}
    assert "Traceback" not in run.stderr


def test_load_of_a_service_that_is_not_there_is_one_line_and_writes_nothing(tmp_path):
    run = bench("load", "--url", "grpc://127.0.0.1:1", "--output", tmp_path / "out", "--seconds", 2)

    assert run.returncode == 3
    assert "nothing was written" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@contextmanager
def late(server, seconds) -> Iterator[str]:
    """The URL of the same service, whose scores come late; a hung one's, where nobody waits that long."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.pass_on(httpx.get(f"{server.rest_url}{self.path}"))

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if not over.wait(seconds):
                headers = {"content-type": "application/json"}
                self.pass_on(httpx.post(f"{server.rest_url}{self.path}", content=body, headers=headers))

        def pass_on(self, answer):
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_port}"
        over.set()
        proxy.shutdown()
        thread.join()


def test_load_of_a_service_that_hangs_says_so_and_fails(fake_server, tmp_path):
    with late(fake_server, 60) as url:
        run = bench("load", "--url", url, "--output", tmp_path, "--warm-up", 0.5, "--seconds", 1, "--timeout-s", 3)

    assert run.returncode == 1
    _, failed, short = run.stderr.splitlines()
    assert failed == "promedical-bench: failures under load: 2"
    assert short == "promedical-bench: no call ended within the 1 s that were measured; give a longer --seconds"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["summary"]["lanes"]["bulk"]["failures"] == {"deadline": 2}
    assert "No call ended within the measured window" in (tmp_path / "report.html").read_text()


def test_load_of_a_service_slower_than_the_window_is_measured_and_fails(fake_server, tmp_path):
    with late(fake_server, 3) as url:
        run = bench("load", "--url", url, "--output", tmp_path, "--warm-up", 0.5, "--seconds", 1)

    assert run.returncode == 1
    assert "failures under load" not in run.stderr
    assert "no call ended within the 1 s that were measured; give a longer --seconds" in run.stderr
    summary = json.loads((tmp_path / "report.json").read_text())["summary"]
    assert summary["lanes"]["bulk"]["latency_s"]["p50"] >= 3
    assert 0 < summary["scores_per_s"] <= 2 * 8 * 12 / 3


def test_load_refuses_a_folder_that_cannot_be_written_before_it_sends_anything(fake_server, tmp_path):
    (tmp_path / "file").write_text("in the way")

    run = bench("load", "--url", fake_server.grpc_url, "--output", tmp_path / "file" / "out", "--seconds", 1000)

    assert run.returncode == 2
    assert "file/out: cannot be written: Not a directory" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--trainers", 0), "nothing would be sent"), (("--seconds", 0), "seconds"), (("--url", "ftp://x"), "ftp")],
)
def test_load_refuses_wrong_usage(tmp_path, arguments, said):
    run = bench("load", "--output", tmp_path / "out", *arguments)

    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr
