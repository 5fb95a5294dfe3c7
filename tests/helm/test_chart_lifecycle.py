"""A release's whole life with real Helm 3 and 4, on a stand-in cluster whose pods are real servers."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import trustme
import yaml
from chart import CHART, run_helm
from cluster.deployments import is_ready
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
API_KEY = "a-key-for-tests-only"
PROMPT, RESPONSES = "How much?", ("4 g in 24 hours.", "As you like.")

pytestmark = pytest.mark.timeout(280)


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

    def run(self, command, *arguments, wait=True, fails=False, timeout="120s"):
        flags = ["--kubeconfig", self.cluster.kubeconfig, "--namespace", NAMESPACE]
        flags += ["--wait", "--timeout", timeout] if wait else []
        done = run_helm(
            self.binary,
            command,
            *arguments,
            *flags,
            HELM_CACHE_HOME=str(self.folder),
            HELM_CONFIG_HOME=str(self.folder),
        )
        pods = [(pod["metadata"]["name"], pod.get("status")) for pod in self.cluster.pods(NAMESPACE)]
        logs = "".join(self.cluster.kubelet.logs_of(name) for name, _ in pods)
        assert (done.returncode != 0) == fails, (
            f"{done.stdout}\n{done.stderr}\n{pods}\n{self.cluster.faults} {self.cluster.kubelet.faults}\n{logs[-3000:]}"
        )
        return done.stdout + done.stderr

    def put(self, command, *, fails=False, timeout="120s", **changes):
        values = self.folder / "values.yaml"
        values.write_text(yaml.safe_dump(VALUES | changes))
        return self.run(command, RELEASE, CHART, "--values", values, fails=fails, timeout=timeout)

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


@pytest.fixture
def release4(helm4, cluster, tmp_path):
    return Release(helm4, cluster, tmp_path)


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


def test_release_lives_from_install_to_uninstall_and_drops_no_request(release, cluster):
    """With two replicas neither an upgrade nor a rollback nor a change of the rollout fails a call, without retries."""
    notes = release.put("install", replicas=2, rollout={"mode": "spareGpu"})
    assert "WARNING: engine=fake" in notes
    assert "WARNING: keys.source is none" in notes
    assert release.max_items() == 256
    assert ready_pods(cluster) == 2

    shown = release.run("test", RELEASE, "--logs", "--timeout", "180s", wait=False)
    assert shown.count("Succeeded") == 4, shown
    for check in ("score-rest: rewards", "score-grpc: rewards", "health: ready", "metrics: "):
        assert check in shown

    with Load(release) as load:
        release.put("upgrade", replicas=2, rollout={"mode": "spareGpu"}, settings={"max_items": 99})
        release.put("upgrade", replicas=2, rollout={"mode": "noSpareGpu"}, settings={"max_items": 98})
        assert release.max_items() == 98
        release.run("rollback", RELEASE, "1")
        settled(cluster, 2)
        assert release.max_items() == 256
    assert load.failed == []
    assert load.answered > 20

    release.run("uninstall", RELEASE)
    settled(cluster, 0)
    assert cluster.kubelet.restarts == 0
    assert len(cluster.kubelet.ended) == 8  # two pods in each of four revisions
    assert {(end.exit_code, end.killed) for end in cluster.kubelet.ended} == {(0, False)}


@pytest.mark.lifecycle
def test_load_notices_a_rollout_that_leaves_a_gap(release4):
    """What the test above asserts can fail: `recreate` ends all pods before the new ones come."""
    release4.put("install", rollout={"mode": "recreate"})
    with Load(release4) as load:
        release4.put("upgrade", rollout={"mode": "recreate"}, settings={"max_items": 99})
    assert load.failed


@pytest.mark.lifecycle
def test_load_notices_pods_that_leave_before_the_cluster_has_heard_of_it(release4):
    """What the preStop is for: without it calls still come to a server that takes no more."""
    rolling = {"replicas": 2, "rollout": {"mode": "spareGpu"}, "drain": VALUES["drain"] | {"preStopSeconds": 0}}
    release4.put("install", **rolling)
    with Load(release4) as load:
        release4.put("upgrade", **rolling, settings={"max_items": 99})
    assert load.failed


@pytest.mark.lifecycle
def test_install_fails_if_the_server_does_not_start(release4, cluster):
    shown = release4.put("install", fails=True, timeout="12s", extraArgs=["--nope=1"])
    assert "timed out" in shown or "deadline exceeded" in shown.lower() or "not ready" in shown.lower(), shown
    (pod, *_) = cluster.pods(NAMESPACE)
    assert "unrecognized arguments: --nope=1" in cluster.kubelet.logs_of(pod["metadata"]["name"])


@pytest.mark.lifecycle
def test_drain_finishes_what_is_in_progress(release4, cluster):
    """A pod is deleted while it scores a large request: the answer arrives, the process ends well and in time."""
    drain = VALUES["drain"] | {"preStopSeconds": 0}
    release4.put("install", settings={"max_batch_tokens": 512}, drain=drain)
    items = [{"id": str(n), "prompt": [{"role": "user", "content": PROMPT * 200}]} for n in range(200)]
    items = [item | {"responses": RESPONSES, "rubric_id": "general-medical"} for item in items]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.post, f"{release4.rest_url}/v1/score", json={"items": items}, timeout=60)
        in_progress(release4)
        (pod,) = cluster.pods(NAMESPACE)
        cluster.end_pods(NAMESPACE)
        answer = asked.result(60)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == 200
    assert all(item["result"] for item in answer.json()["items"])
    settled(cluster, 1)
    (end,) = cluster.kubelet.ended
    assert (end.exit_code, end.killed) == (0, False)
    assert end.seconds < sum(drain.values())
    log = cluster.kubelet.logs_of(pod["metadata"]["name"])
    (draining,) = [json.loads(line) for line in log.splitlines() if '"draining"' in line]
    assert draining["in_flight"] == 1  # the request was under way when SIGTERM came


def test_mutual_tls_and_keys_hold_for_clients_and_not_for_probes(release4, cluster):
    """Ready by the plaintext health port, scored by `helm test` with a certificate and a key, closed to others."""
    authority = trustme.CA()
    tls = {"source": "secret", "secretName": "server", "caSecretName": "ca"}
    tls["mutual"] = {"enabled": True, "caSecretName": "ca", "clientSecretName": "client"}
    secrets = [
        secret("server", **pem(authority.issue_cert(f"{NAME}.{NAMESPACE}.svc"))),
        secret("client", **pem(authority.issue_cert("trainer@example.com"))),
        secret("ca", **{"ca.crt": authority.cert_pem.bytes().decode()}),
        secret("keys", **{"keys.txt": f"team:{API_KEY}\n"}),
        secret("test-key", key=API_KEY),
    ]
    release4.put(
        "install",
        tls=tls,
        keys={"source": "secret", "secretName": "keys"},
        tests={"apiKeySecretName": "test-key"},
        extraManifests=secrets,
    )
    shown = release4.run("test", RELEASE, "--logs", "--timeout", "180s", wait=False)
    assert shown.count("Succeeded") == 4, shown
    assert ready_pods(cluster) == 1
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{release4.rest_url.replace('http', 'https')}/healthz", verify=False, timeout=10)


def test_new_keys_hold_without_a_restart(release4, cluster):
    """The Secret changes; soon the old key is refused and the new one is good, in the same process."""
    old, new = f"{API_KEY}-1", f"{API_KEY}-2"
    keys = {"source": "secret", "secretName": "keys"}
    release4.put("install", keys=keys, extraManifests=[secret("keys", **{"keys.txt": f"team:{old}\n"})])
    shown = release4.run("test", RELEASE, "--logs", "--timeout", "180s", wait=False)
    assert shown.count("refused without a key, as it must be") == 2, shown
    assert (status(release4, old), status(release4, new)) == (200, 401)
    cluster.write_secret(NAMESPACE, "keys", **{"keys.txt": f"team:{new}\n"})
    deadline = time.monotonic() + 30
    while status(release4, new) != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert status(release4, old) == 401
    assert cluster.kubelet.restarts == 0
    assert cluster.kubelet.ended == []


def status(release, key):
    return httpx.get(f"{release.rest_url}/v1/model", headers={"x-api-key": key}, timeout=30).status_code


def pem(issued):
    """The two keys of a Secret of type kubernetes.io/tls."""
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return {"tls.crt": chain.decode(), "tls.key": issued.private_key_pem.bytes().decode()}


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def ready_pods(cluster):
    return sum(is_ready(pod) for pod in cluster.pods(NAMESPACE))


def settled(cluster, replicas):
    """Wait until these many pods are left, all ready."""
    deadline = time.monotonic() + 90
    while not len(cluster.pods(NAMESPACE)) == ready_pods(cluster) == replicas:
        assert time.monotonic() < deadline, [pod["metadata"]["name"] for pod in cluster.pods(NAMESPACE)]
        time.sleep(0.1)


def in_progress(release):
    """Wait until the service works on the large request."""
    deadline = time.monotonic() + 60
    while "promedical_requests_in_flight 1.0" not in httpx.get(f"{release.rest_url}/metrics", timeout=30).text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
