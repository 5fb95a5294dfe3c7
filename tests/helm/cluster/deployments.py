"""The deployment controller: pods by strategy, ReplicaSets for Helm 3, and the status that both Helms read."""

import hashlib
import itertools
import json
from typing import Any

from cluster.store import Key, Object, Store, now

HASH = "pod-template-hash"


class Deployments:
    """One `step` looks at every Deployment once and does what can be done now."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers = itertools.count(1)

    def step(self) -> None:
        deployments = self._store.list("apps", "deployments")
        self._collect_garbage({d["metadata"]["uid"] for d in deployments})
        for deployment in deployments:
            self._roll(deployment)
            self._report(deployment)

    def _roll(self, deployment: Object) -> None:
        pods = self._pods(deployment)
        current = [pod for pod in pods if pod["metadata"]["labels"][HASH] == _hash(deployment)]
        old = [pod for pod in pods if pod not in current]
        replicas, strategy = deployment["spec"].get("replicas", 1), deployment["spec"]["strategy"]
        self._replica_set(deployment, current)
        if strategy["type"] == "Recreate":
            self._recreate(deployment, current, old, replicas)
            return
        surge, unavailable = (strategy["rollingUpdate"][name] for name in ("maxSurge", "maxUnavailable"))
        alive, alive_old = _staying(current), _staying(old)
        for _ in range(min(replicas - len(alive), replicas + surge - len(alive) - len(alive_old))):
            self._create(deployment)
        spare = sum(map(is_ready, alive + alive_old)) - (replicas - unavailable)
        for pod in sorted(alive_old, key=is_ready):
            if not is_ready(pod) or spare > 0:
                spare -= is_ready(pod)
                self._end(pod)
        for pod in alive[replicas:]:
            self._end(pod)

    def _recreate(self, deployment: Object, current: list[Object], old: list[Object], replicas: int) -> None:
        for pod in _staying(old):
            self._end(pod)
        alive = _staying(current)
        for _ in range(0 if old else replicas - len(alive)):
            self._create(deployment)
        for pod in alive[replicas:]:
            self._end(pod)

    def _create(self, deployment: Object) -> None:
        meta = deployment["metadata"]
        name = f"{meta['name']}-{_hash(deployment)}-{next(self._numbers)}"
        template = deployment["spec"]["template"]
        labels = template["metadata"]["labels"] | {HASH: _hash(deployment)}
        owner = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}]
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "status": {"phase": "Pending"}}
        pod["metadata"] = {"name": name, "labels": labels, "ownerReferences": owner}
        self._store.create(Key("", "pods", meta["namespace"], name), pod)

    def _end(self, pod: Object) -> None:
        key = Key("", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        self._store.change(key, lambda found: found["metadata"].setdefault("deletionTimestamp", now()))

    def _pods(self, deployment: Object) -> list[Object]:
        uid = deployment["metadata"]["uid"]
        return [pod for pod in self._store.list("", "pods") if owner_of(pod) == uid]

    def _replica_set(self, deployment: Object, pods: list[Object]) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        labels = spec["template"]["metadata"]["labels"] | {HASH: _hash(deployment)}
        template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
        name = f"{meta['name']}-{_hash(deployment)}"
        ready = sum(map(is_ready, pods))
        key = Key("apps", "replicasets", meta["namespace"], name)
        written = self._store.put(
            key,
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {"name": name, "labels": labels, "ownerReferences": [owner | {"controller": True}]},
                "spec": {"replicas": spec.get("replicas", 1), "selector": spec["selector"], "template": template},
            },
        )
        status = {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready}
        status["observedGeneration"] = written["metadata"]["generation"]
        self._store.change(key, lambda found: found.update(status=status))

    def _report(self, deployment: Object) -> None:
        pods = self._pods(deployment)
        updated = [pod for pod in pods if pod["metadata"]["labels"][HASH] == _hash(deployment)]
        replicas, ready = deployment["spec"].get("replicas", 1), sum(map(is_ready, pods))
        done = len(pods) == len(updated) == sum(map(is_ready, updated)) == replicas
        status: dict[str, Any] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(updated),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(replicas - ready, 0),
            "conditions": [
                {"type": "Available", "status": str(ready >= replicas)},
                {"type": "Progressing", "status": "True", "reason": _progress(done=done)},
            ],
        }
        meta = deployment["metadata"]
        key = Key("apps", "deployments", meta["namespace"], meta["name"])
        self._store.change(key, lambda found: found.update(status=status))

    def _collect_garbage(self, owners: set[str]) -> None:
        for resource, group in (("pods", ""), ("replicasets", "apps")):
            for orphan in self._store.list(group, resource):
                if (owner := owner_of(orphan)) and owner not in owners:
                    meta = orphan["metadata"]
                    if resource == "pods":
                        self._end(orphan)
                    else:
                        self._store.delete(Key(group, resource, meta["namespace"], meta["name"]))


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and {"type": "Ready", "status": "True"} in conditions


def owner_of(item: Object) -> str | None:
    owners = item["metadata"].get("ownerReferences", [])
    return owners[0]["uid"] if owners else None


def _staying(pods: list[Object]) -> list[Object]:
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _hash(deployment: Object) -> str:
    text = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _progress(*, done: bool) -> str:
    return "NewReplicaSetAvailable" if done else "ReplicaSetUpdated"
