"""The line of stages on a real Ray with two workers: as the embedded engine does it, whatever happens to a worker."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

import curating
from fault_proxy import Proxy, running_proxy
from promedical_curation.asking.fetching import Terms
from promedical_curation.errors import CurationError, StoppedError
from promedical_curation.pipeline.ray_cluster import ray_engine
from promedical_curation.pipeline.row_files import SCHEMAS, records
from promedical_curation.pipeline.run_folder import open_run
from promedical_curation.pipeline.running import Runner, Wishes
from promedical_curation.pipeline.worker import Means

WORKERS = 2
SECRET = "sk-a-key-that-must-not-be-seen"
COMMIT_S = 1.0
"""How long before a kill an answer may have left the proxy and not be in the store yet, on a busy machine."""


@pytest.fixture(scope="module")
def cluster():
    """A real Ray of two cores, which the engine finds; gives the folder of its logs."""
    import ray

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "CURATE_KEY": SECRET}  # workers inherit the key
    options = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 200_000_000}
    context: Any = ray.init("local", log_to_driver=False, logging_level="ERROR", **options)
    yield Path(context.address_info["session_dir"]) / "logs"
    ray.shutdown()


def run_on_ray(folder: Path, proxy: Proxy, given, store: str | None = None, *, changes=None, workers=WORKERS, **terms):
    """Run a source and a stage that asks."""
    asked = curating.endpoint(proxy.url, key_env="CURATE_KEY", **(changes or {}))
    stages = [curating.source(given), curating.word_stage(asked)]
    with open_run(folder, stages, store=store) as run, ray_engine(None, workers=workers, store=run.store) as engine:
        means = Means(endpoints={asked.name: asked}, store=run.store, terms=Terms(run=run.id, **terms))
        Runner(run, means, Console(file=io.StringIO()), engine).run(Wishes(max_failed=1.0))


def run_embedded(folder: Path, proxy: Proxy, given, store: str | None = None):
    asked = curating.endpoint(proxy.url)
    stages = [curating.source(given), curating.word_stage(asked)]
    with open_run(folder, stages, store=store) as run:
        means = Means(endpoints={asked.name: asked}, store=run.store, terms=Terms(run=run.id))
        Runner(run, means, Console(file=io.StringIO())).run(Wishes(max_failed=1.0))


def check_equal(one: Path, other: Path) -> None:
    for name in SCHEMAS:
        found, expected = ((folder / "stages" / "word" / name).read_bytes() for folder in (one, other))
        assert found == expected, name


def third_is_bad(body, before):
    return "bad_request" if "What is 3?" in str(body) else None


def test_ray_gives_what_the_embedded_engine_gives(cluster, llama, tmp_path):
    given = [*curating.rows(34), curating.row("Ünïcödé \ud800 ?", id="odd")]
    store = f"sqlite:///{tmp_path}/answers.sqlite"
    with running_proxy(llama, third_is_bad) as proxy:
        run_on_ray(tmp_path / "ray", proxy, given, store)
        assert set(proxy.by_question.values()) == {1}
        run_embedded(tmp_path / "embedded", proxy, given, store)
        assert len(proxy.calls) == len(given)
    check_equal(tmp_path / "ray", tmp_path / "embedded")
    failed = tmp_path / "ray" / "stages" / "word" / "failed.parquet"
    assert [each["id"] for each in records(failed, SCHEMAS["failed.parquet"])] == ["r0003"]
    with pytest.raises(CurationError, match=r"--workers 9: need 4\.5 CPUs, and the cluster has 2; give at most 4"):
        run_on_ray(tmp_path / "many", proxy, given, workers=9)
    logs = [path.read_bytes() for path in cluster.rglob("*") if path.is_file()]
    assert logs
    assert not [text for text in ("What is", SECRET) if any(text.encode() in log for log in logs)]


@pytest.mark.curation
def test_killed_worker_costs_what_it_had_in_flight(cluster, llama, tmp_path, postgres):
    given, killed = curating.rows(96), list[float]()

    def kill(proxy: Proxy) -> None:
        proxy.wait_for(30)
        found = psutil.process_iter(["cmdline"])  # processes that end meanwhile have none
        workers = [each for each in found if "MapWorker" in " ".join(each.info["cmdline"] or ())]
        workers[0].send_signal(signal.SIGKILL)
        killed.append(time.time())

    with running_proxy(llama, delay_s=0.2) as proxy:
        killer = threading.Thread(target=kill, args=[proxy])
        killer.start()
        run_on_ray(tmp_path / "ray", proxy, given, postgres)
        killer.join()
        in_flight = [each for each in proxy.calls if each.began <= killed[0] < (each.ended or 0) + COMMIT_S]
        assert len(proxy.calls) - len(proxy.by_question) <= len(in_flight)
        sent = len(proxy.calls)
        run_embedded(tmp_path / "embedded", proxy, given, postgres)
        assert len(proxy.calls) == sent
    check_equal(tmp_path / "ray", tmp_path / "embedded")


@pytest.mark.curation
def test_limits_hold_for_all_workers_together(cluster, llama, tmp_path, postgres):
    given, budget = curating.rows(96), 0.0015
    with running_proxy(llama, delay_s=0.1) as proxy:
        with pytest.raises(StoppedError, match=r"would pass its budget of 0\.0015"):
            run_on_ray(tmp_path / "run", proxy, given, postgres, changes={"max_in_flight": 3}, budget=budget)
        moments = [each.began for each in proxy.calls]
        assert max(sum(e.began <= now < (e.ended or now + 1) for e in proxy.calls) for now in moments) <= 3
        sent = len(proxy.calls)
        assert 0 < sent < len(given)
        run_on_ray(tmp_path / "run", proxy, given, postgres, changes={"max_in_flight": 3})
        assert set(proxy.by_question.values()) == {1}  # what was in flight at the stop was kept


@pytest.mark.curation
def test_endpoint_that_is_of_no_use_stops_all_workers(cluster, llama, tmp_path):
    with running_proxy(llama, lambda body, before: "401" if "What is 50?" in str(body) else None) as proxy:
        with pytest.raises(StoppedError, match=r"endpoint word .*; answers so far are kept"):
            run_on_ray(tmp_path / "run", proxy, curating.rows(96))
        assert len(proxy.calls) < 96


@pytest.mark.curation
def test_interrupted_command_keeps_what_its_workers_have_in_flight(llama, tmp_path):
    rows, endpoints = tmp_path / "rows.jsonl", tmp_path / "endpoints.yaml"
    rows.write_text(
        "".join(json.dumps({"id": each.id, "instruction": each.instruction}) + "\n" for each in curating.rows(40))
    )
    with running_proxy(llama, delay_s=0.2) as proxy:
        asked = {"base_url": proxy.url, "model": "smollm2", "prices": {"input": 0, "output": 0}}
        endpoints.write_text(json.dumps({"endpoints": {"difficulty": asked}}))
        command = [sys.executable, "-m", "promedical_curation.cli", "run", tmp_path / "run", "--max-failed", "1"]
        command += ["--recipe", "preference-50k", "--input", rows, "--endpoints", endpoints]
        settings = ("until=difficulty", "screens=null", "dedup=null", "decontamination=null", "difficulty.keep=0-10")
        command += [part for setting in settings for part in ("--set", setting)]
        on_ray = [*command, "--engine", "ray", "--workers", "1"]
        with subprocess.Popen(on_ray, stderr=subprocess.PIPE, text=True) as process:
            proxy.wait_for(3)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=200)
        assert process.returncode == 3, said
        assert "stopped by SIGINT; answers so far are kept" in said
        assert len(proxy.by_question) < 40
        sent = set(proxy.by_question)
        assert subprocess.run(command, timeout=250, check=False).returncode == 0
        assert {proxy.by_question[each] for each in sent} == {1}
