"""A release's whole life with real Helm 3 and 4, on a stand-in cluster whose pods are real servers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import yaml

from chart import CHART, run_helm
from cluster.running import running_cluster
from cluster.sandbox import missing_tool
from promedical_client import Client
from promedical_client.errors import PromedicalError

NAMESPACE, RELEASE, NAME = "oracle", "demo", "demo-promedical"
VALUES = {
    "engine": "fake",
    "replicas": 1,
    "probes": {
        "startup": {"maxSeconds": 120, "periodSeconds": 1},
        "liveness": {"periodSeconds": 2},
        "readiness": {"periodSeconds": 1},
    },
    "drain": {"preStopSeconds": 1, "serverSeconds": 20, "slackSeconds": 15},
    "rubrics": {
        "files": {
            "house@1.json": '{"title": "House style", "criteria": [{"id": "units", "text": "States units.", '
            '"dimension": "excellence"}]}'
        }
    },
}
CLUSTER_TIMEOUT = "180s"
PROMPT, RESPONSES = "How much?", ("4 g in 24 hours.", "As you like.")

pytestmark = pytest.mark.timeout(420)


@pytest.fixture(scope="module", autouse=True)
def _needs_containers():
    if reason := missing_tool():
        pytest.skip(reason)


@pytest.fixture
def cluster(tmp_path):
    with running_cluster(tmp_path) as made:
        yield made


class Release:
    """Helm, pointed at the cluster."""

    def __init__(self, binary, cluster, folder):
        self.binary, self.cluster, self.folder = binary, cluster, folder

    def run(self, command, *arguments, wait=True, fails=False):
        flags = ["--kubeconfig", self.cluster.kubeconfig, "--namespace", NAMESPACE]
        flags += ["--wait", "--timeout", CLUSTER_TIMEOUT] if wait else []
        done = run_helm(
            self.binary, command, *arguments, *flags, HELM_CACHE_HOME=str(self.folder), HELM_CONFIG_HOME=str(self.folder)
        )
        pods = [(pod["metadata"]["name"], pod.get("status")) for pod in self.cluster.pods(NAMESPACE)]
        logs = "".join(self.cluster.kubelet.logs_of(name) for name, _ in pods)
        assert (done.returncode != 0) == fails, f"{done.stdout}\n{done.stderr}\n{pods}\n{logs[-3000:]}"
        return done.stdout + done.stderr

    def put(self, command, **changes):
        values = self.folder / "values.yaml"
        values.write_text(yaml.safe_dump(VALUES | changes))
        return self.run(command, RELEASE, CHART, "--values", values)

    @property
    def rest_url(self):
        return f"http://{self.cluster.service_address(NAMESPACE, NAME)}:8080"

    @property
    def grpc_url(self):
        return f"grpc://{self.cluster.service_address(NAMESPACE, NAME)}:50051"

    def max_items(self):
        return httpx.get(f"{self.rest_url}/v1/model", timeout=30).json()["limits"]["max_items"]


@pytest.fixture
def release(any_helm, cluster, tmp_path):
    return Release(any_helm, cluster, tmp_path)


class Load:
    """Calls on both transports, without pause and without retries, while the block runs."""

    def __init__(self, release):
        self._release = release
        self._over = threading.Event()
        self.answered, self.failed = 0, []

    def __enter__(self):
        self._pool = ThreadPoolExecutor(2)
        self._work = [self._pool.submit(self._rest), self._pool.submit(self._grpc)]
        return self

    def __exit__(self, *_):
        self._over.set()
        for work in self._work:
            work.result(120)
        self._pool.shutdown()

    def _rest(self):
        body = {"prompt": PROMPT, "responses": RESPONSES, "rubric_id": "general-medical"}
        while not self._over.wait(0.05):
            try:
                httpx.post(f"{self._release.rest_url}/v1/rank", json=body, timeout=30).raise_for_status()
                self.answered += 1
            except httpx.HTTPError as error:
                self.failed.append(error)

    def _grpc(self):
        while not self._over.wait(0.05):
            try:
                with Client(self._release.grpc_url, max_attempts=1, timeout_s=30) as client:
                    client.rank(PROMPT, RESPONSES, rubric_id="general-medical")
                self.answered += 1
            except PromedicalError as error:
                self.failed.append(error)


def test_release_lives_from_install_to_uninstall(release, cluster):
    release.put("install")
    with Client(release.grpc_url) as client:  # the first call after --wait is answered
        assert len(client.rank(PROMPT, RESPONSES, rubric_id="house").result.responses) == 2
    assert release.max_items() == 256

    shown = release.run("test", RELEASE, "--timeout", "180s", wait=False)
    assert shown.count("Succeeded") == 4, shown

    with Load(release) as load:
        release.put("upgrade", replicas=2, rollout={"mode": "spareGpu"}, settings={"max_items": 99})
        assert release.max_items() == 99
        release.run("rollback", RELEASE, "1")
        time.sleep(1)
        assert release.max_items() == 256
    # Going back to one replica and Recreate is the one step that may refuse for a moment.
    assert load.answered > 20
    assert cluster.kubelet.restarts == 0

    release.run("uninstall", RELEASE)
    deadline = time.monotonic() + 60
    while cluster.pods(NAMESPACE) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [pod["metadata"]["name"] for pod in cluster.pods(NAMESPACE)] == []
    assert [(end.exit_code, end.killed) for end in cluster.kubelet.ended] == [(0, False)] * len(cluster.kubelet.ended)
