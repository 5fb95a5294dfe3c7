"""kube-proxy: each Service's address takes connections and hands them to ready pods in turn.

It hears late of pods that leave, as in a cluster; that is what a pod's preStop is for.
"""

import contextlib
import itertools
import socket
import threading
import time

from cluster.deployments import is_ready
from cluster.store import Object, Store

HEARS_AFTER_S = 0.5


class Services:
    """`step` opens the ports of new Services; a connection looks for a ready pod when it comes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        self._turn = itertools.count()
        self._last_ready: dict[str, float] = {}

    def step(self) -> None:
        for pod in filter(is_ready, self._store.list("", "pods")):
            self._last_ready[pod["metadata"]["uid"]] = time.monotonic()
        wanted = {}
        for service in self._store.list("", "services"):
            if service["spec"].get("clusterIP", "None") != "None":
                wanted |= {
                    (service["spec"]["clusterIP"], port["port"]): (service, port) for port in service["spec"]["ports"]
                }
        for place in wanted.keys() - self._listeners.keys():
            listener = socket.create_server(place, backlog=128)
            self._listeners[place] = listener
            threading.Thread(target=self._accept, args=(listener, *wanted[place]), daemon=True).start()
        for place in self._listeners.keys() - wanted.keys():
            _close(self._listeners.pop(place))

    def close(self) -> None:
        for listener in self._listeners.values():
            _close(listener)

    def _accept(self, listener: socket.socket, service: Object, port: Object) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, service, port), daemon=True).start()

    def _serve(self, client: socket.socket, service: Object, port: Object) -> None:
        with client:
            try:
                server = socket.create_connection(self._endpoint(service, port), timeout=5)
            except (OSError, LookupError):
                return  # refused, as by a Service without endpoints
            server.settimeout(None)
            with server:
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()

    def _endpoint(self, service: Object, port: Object) -> tuple[str, int]:
        selector = service["spec"]["selector"].items()
        pods = [pod for pod in self._store.list("", "pods") if selector <= pod["metadata"].get("labels", {}).items()]
        ready = [pod for pod in pods if is_ready(pod) or self._leaves_unheard(pod)]
        if not ready:
            raise LookupError(service["metadata"]["name"])
        pod = ready[next(self._turn) % len(ready)]
        ports = {p["name"]: p["containerPort"] for p in pod["spec"]["containers"][0]["ports"]}
        return pod["status"]["podIP"], ports.get(port["targetPort"], port["targetPort"])

    def _leaves_unheard(self, pod: Object) -> bool:
        meta = pod["metadata"]
        last_ready = self._last_ready.get(meta["uid"], float("-inf"))
        return "deletionTimestamp" in meta and time.monotonic() < last_ready + HEARS_AFTER_S


def _close(listener: socket.socket) -> None:
    listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
    listener.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
