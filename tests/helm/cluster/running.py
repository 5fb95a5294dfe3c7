"""The cluster as a test uses it: start it, point Helm at it, look into it, and end it."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from cluster.api import Api
from cluster.deployments import Deployments
from cluster.kubelet import Kubelet
from cluster.services import Services
from cluster.store import Key, Object, Store, now


class Cluster:
    """Everything runs from construction to `close`."""

    def __init__(self, folder: Path) -> None:
        self.store = Store()
        self.kubelet = Kubelet(self.store, folder)
        self._services = Services(self.store)
        self._deployments = Deployments(self.store)
        self._api = Api(self.store, self.kubelet.logs_of)
        self.kubelet.subnet = self._api.subnet
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(self._api.server_port)))
        self.faults: list[BaseException] = []
        self._closing = threading.Event()
        self._loop = threading.Thread(target=self._run)
        self._loop.start()

    def close(self) -> None:
        self._closing.set()
        self._loop.join()
        self.kubelet.close()
        self._services.close()
        self._api.close()

    def pods(self, namespace: str) -> list[Object]:
        return self.store.list("", "pods", namespace)

    def write_secret(self, namespace: str, name: str, **data: str) -> None:
        """As `kubectl apply` with other data."""
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        self.store.change(Key("", "secrets", namespace, name), lambda found: found.update(data=encoded))

    def end_pods(self, namespace: str) -> None:
        """As `kubectl delete pods --all`."""
        for pod in self.pods(namespace):
            key = Key("", "pods", namespace, pod["metadata"]["name"])
            self.store.change(key, lambda found: found["metadata"].setdefault("deletionTimestamp", now()))

    def service_address(self, namespace: str, name: str) -> str:
        (service,) = [s for s in self.store.list("", "services", namespace) if s["metadata"]["name"] == name]
        return str(service["spec"]["clusterIP"])

    def _run(self) -> None:
        while not self._closing.wait(0.1):
            try:
                self._services.step()
                self._deployments.step()
                self.kubelet.step()
            except Exception as fault:  # noqa: BLE001 - a fault of the stand-in must reach the test
                self.faults.append(fault)
                return


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()
        assert [*cluster.faults, *cluster.kubelet.faults] == []


def _kubeconfig(port: int) -> Object:
    cluster = {"name": "stand-in", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "stand-in", "context": {"cluster": "stand-in", "user": "nobody"}}
    user = {"name": "nobody", "user": {}}
    head = {"apiVersion": "v1", "kind": "Config", "current-context": "stand-in"}
    return head | {"clusters": [cluster], "contexts": [context], "users": [user]}
