"""What is wrong with a cluster is one clear line, before anything is asked and without waiting for Ray."""

import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import curating
from promedical_curation.asking.fetching import Terms
from promedical_curation.engine_options import EngineName, engine_named
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.ray_cluster import _check_store, ray_engine
from promedical_curation.pipeline.worker import Means

STORE = "sqlite:////tmp/answers.sqlite"


def refused(address: str) -> str:
    with pytest.raises(CurationError) as caught, ray_engine(address, workers=2, store=STORE):
        pass
    return str(caught.value)


@pytest.mark.parametrize("address", ["head", "10.0.0.5", ":6379", "10.0.0.5:", "ray://10.0.0.5:10001", "http://x:80"])
def test_address_of_another_form_says_what_is_expected(address):
    assert refused(address).startswith(f"--address {address}: expected HOST:PORT of a cluster's head node")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "head.invalid:6379", "[::1]:1", "127.0.0.1:65536"])
def test_address_where_nobody_answers_is_named(address):
    assert refused(address).startswith(f"--address {address}: cannot be reached: ")


def test_address_of_another_server_is_told_apart():
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"127.0.0.1:{server.server_address[1]}"
        assert refused(address).startswith(f"--address {address}: something else than Ray answers there")
        server.shutdown()
        thread.join()


def test_cluster_that_is_not_there_to_be_found_is_an_error():
    assert refused("auto").startswith("--address auto: there is no cluster to join: ")


def test_ray_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # what Python itself does for a module that must not be found
    assert refused("auto") == "engine ray: ray is not installed; run: pip install 'promedical[curation-scale]'"


def test_file_is_no_store_for_several_machines():
    _check_store(STORE, 1)
    _check_store("postgresql://curate:secret@db/answers", 3)
    with pytest.raises(CurationError, match="is a file of one machine, and the cluster has 3; name a PostgreSQL"):
        _check_store(STORE, 3)


@pytest.mark.parametrize(("address", "workers", "option"), [("auto", None, "--address"), (None, 3, "--workers")])
def test_option_of_ray_without_ray_is_refused(address, workers, option):
    with pytest.raises(CurationError, match=f"{option} is for the workers of Ray; add --engine ray"):
        engine_named(EngineName.EMBEDDED, address, workers, STORE)


@pytest.mark.parametrize(("most", "workers", "each"), [(32, 2, 16), (32, 5, 6), (3, 2, 1), (1, 1, 1)])
def test_workers_together_keep_to_the_limit_of_an_endpoint(most, workers, each):
    from promedical_curation.pipeline.ray_engine import share

    asked = curating.endpoint("http://127.0.0.1:9/v1", max_in_flight=most)
    shared = share(Means(endpoints={asked.name: asked}, store=STORE, terms=Terms(run="r")), workers)
    assert shared.endpoints[asked.name].max_in_flight == each
    assert each * workers <= most
