"""Runs the pods of the store: containers, probes, readiness, restarts, and the end with preStop and grace."""

import itertools
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.sandbox import Container, refresh
from cluster.store import Key, Object, Store, now

TICK_S = 0.1


@dataclass
class Ended:
    """How a container of a deleted pod ended, for tests."""

    pod: str
    exit_code: int | None
    seconds: float
    killed: bool


@dataclass
class Kubelet:
    """`step` starts a thread for every pod that has none."""

    store: Store
    folder: Path
    subnet: str = "127.1.0"
    ended: list[Ended] = field(default_factory=list)
    restarts: int = 0
    faults: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._threads: dict[str, threading.Thread] = {}
        self._ips = itertools.count(2)
        self._closing = threading.Event()

    def step(self) -> None:
        for pod in self.store.list("", "pods"):
            uid = pod["metadata"]["uid"]
            if uid not in self._threads:
                self._threads[uid] = threading.Thread(
                    target=self._run_noted, args=(pod, f"{self.subnet}.{next(self._ips)}")
                )
                self._threads[uid].start()

    def close(self) -> None:
        self._closing.set()
        for thread in self._threads.values():
            thread.join(60)

    def logs_of(self, pod: str) -> str:
        return "".join(log.read_text() for log in sorted(self.folder.glob(f"{pod}/*.log")))

    def _run_noted(self, pod: Object, ip: str) -> None:
        try:
            self._run(pod, ip)
        except Exception as fault:  # noqa: BLE001 - a fault of the stand-in must reach the test
            self.faults.append(fault)

    def _run(self, pod: Object, ip: str) -> None:
        meta = pod["metadata"]
        key, folder = Key("", "pods", meta["namespace"], meta["name"]), self.folder / meta["name"]
        folder.mkdir(exist_ok=True)
        (spec,) = pod["spec"]["containers"]
        assert "initContainers" not in pod["spec"], "this stand-in runs none"
        container = self._start(spec, pod, ip, folder)
        self._status(key, "Running", ip, ready=False)
        probes = Probes(spec, ip)
        while not self._leaving(key):
            if container.exit_code is not None and pod["spec"].get("restartPolicy") == "Never":
                self._status(key, "Failed" if container.exit_code else "Succeeded", ip, ready=False)
                while not self._leaving(key):
                    time.sleep(TICK_S)
                break
            if container.exit_code is not None or probes.dead:
                container.signal(signal.SIGKILL)
                self.restarts += 1
                container, probes = self._start(spec, pod, ip, folder), Probes(spec, ip)
            probes.step()
            refresh(pod, folder, self.store)
            self._status(key, "Running", ip, ready=probes.ready)
            time.sleep(TICK_S)
        self._end(container, spec, pod)
        self.store.delete(key)

    def _start(self, spec: Object, pod: Object, ip: str, folder: Path) -> Container:
        return Container(spec, pod, ip, folder, self.store, self._hosts(pod["metadata"]["namespace"]))

    def _leaving(self, key: Key) -> bool:
        pod = self.store.get(key)
        return self._closing.is_set() or pod is None or "deletionTimestamp" in pod["metadata"]

    def _end(self, container: Container, spec: Object, pod: Object) -> None:
        """preStop, SIGTERM, then SIGKILL when the grace is over; preStop counts against the grace."""
        if container.exit_code is not None:
            return
        started, grace = time.monotonic(), pod["spec"].get("terminationGracePeriodSeconds", 30)
        _pre_stop(spec.get("lifecycle", {}).get("preStop", {}), grace)
        container.signal(signal.SIGTERM)
        code = container.wait(grace - (time.monotonic() - started))
        killed = code is None
        if killed:
            container.signal(signal.SIGKILL)
            code = container.wait(10)
        self.ended.append(Ended(pod["metadata"]["name"], code, time.monotonic() - started, killed))

    def _status(self, key: Key, phase: str, ip: str, *, ready: bool) -> None:
        conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
        if phase == "Succeeded":
            conditions[0]["reason"] = "PodCompleted"
        status = {"phase": phase, "podIP": ip, "conditions": conditions, "startTime": now()}

        def edit(pod: Object) -> None:
            pod["status"] = status | {"startTime": pod.get("status", {}).get("startTime", status["startTime"])}

        self.store.change(key, edit)

    def _hosts(self, namespace: str) -> str:
        """What the cluster's DNS would say of its Services."""
        lines = ["127.0.0.1 localhost"]
        for service in self.store.list("", "services", namespace):
            name, address = service["metadata"]["name"], service["spec"].get("clusterIP", "None")
            if address != "None":
                lines.append(f"{address} {name} {name}.{namespace} {name}.{namespace}.svc")
        return "\n".join(lines) + "\n"


class Probes:
    """Startup first; then liveness and readiness, each in its own rhythm."""

    def __init__(self, spec: Object, ip: str) -> None:
        self._probes = {
            name: spec[f"{name}Probe"] for name in ("startup", "liveness", "readiness") if f"{name}Probe" in spec
        }
        self._ip = ip
        self._due = dict.fromkeys(self._probes, 0.0)
        self._failures = dict.fromkeys(self._probes, 0)
        self._started = "startup" not in self._probes
        self.ready = False
        self.dead = False

    def step(self) -> None:
        for name in ("liveness", "readiness") if self._started else ("startup",):
            if name in self._probes and time.monotonic() >= self._due[name]:
                self._due[name] = time.monotonic() + self._probes[name].get("periodSeconds", 10)
                self._judge(name, good=_serves(self._probes[name], self._ip))

    def _judge(self, name: str, *, good: bool) -> None:
        self._failures[name] = 0 if good else self._failures[name] + 1
        over = self._failures[name] >= self._probes[name].get("failureThreshold", 3)
        if name == "startup":
            self._started = good
        if name == "readiness" and (good or over):
            self.ready = good
        elif name != "readiness" and over:
            self.dead = True


def _serves(probe: Object, ip: str) -> bool:
    target = f"{ip}:{probe['grpc']['port']}"
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(
                health_pb2.HealthCheckRequest(service=probe["grpc"].get("service", "")),
                timeout=probe.get("timeoutSeconds", 1),
            )
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _pre_stop(handler: Object, grace: float) -> None:
    if "sleep" in handler:
        time.sleep(min(handler["sleep"]["seconds"], grace))
    elif "exec" in handler:
        subprocess.run(handler["exec"]["command"], timeout=grace, check=False)
