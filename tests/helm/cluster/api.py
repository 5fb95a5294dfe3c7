"""The part of the Kubernetes API that Helm uses: discovery, objects with strict schemas, patches, watches, logs."""

import base64
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import yaml
from schemas import faults

from cluster import wire
from cluster.patches import merged
from cluster.store import ConflictError, Key, Object, Store, now

VERSION = "1.35"
RESOURCES = {
    ("", "v1"): {
        "pods": "Pod",
        "services": "Service",
        "secrets": "Secret",
        "configmaps": "ConfigMap",
        "serviceaccounts": "ServiceAccount",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "events": "Event",
    },
    ("apps", "v1"): {"deployments": "Deployment", "replicasets": "ReplicaSet"},
    ("policy", "v1"): {"poddisruptionbudgets": "PodDisruptionBudget"},
    ("networking.k8s.io", "v1"): {"networkpolicies": "NetworkPolicy", "ingresses": "Ingress"},
    ("autoscaling", "v2"): {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818 - as the API calls it
    code: int
    reason: str
    message: str


class Api(ThreadingHTTPServer):
    """Serves a store on loopback; `logs_of` gives what a pod wrote."""

    daemon_threads = True

    def __init__(self, store: Store, logs_of: Callable[[str], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store
        self.logs_of = logs_of
        self.closing = False
        # Every cluster has a part of loopback to itself, told apart by its port, which is unique on the machine.
        self.subnet = f"127.{self.server_port >> 8}.{self.server_port & 255}"
        self._service_ips = iter(range(200, 255))
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        self.closing = True
        self.shutdown()
        self.server_close()

    def defaulted(self, new: Object, old: Object | None) -> Object:
        """What the API server fills in; a Service keeps its address for life."""
        if new["kind"] == "Service" and new["spec"].get("clusterIP") != "None":
            given = (old or {}).get("spec", {}).get("clusterIP") or f"{self.subnet}.{next(self._service_ips)}"
            new["spec"]["clusterIP"] = given
        for name, text in new.pop("stringData", {}).items():
            new.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
        return new


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def log_message(self, *_: Any) -> None: ...

    def handle_any(self) -> None:
        url = urlparse(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._route([part for part in url.path.split("/") if part])
        except Refusal as refusal:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": refusal.reason}
            self._send(status | {"message": refusal.message, "code": refusal.code}, refusal.code)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the base class's names

    def _route(self, path: list[str]) -> None:
        match path:
            case ["version"]:
                self._send({"major": "1", "minor": VERSION.split(".")[1], "gitVersion": f"v{VERSION}.0"})
            case ["openapi", "v2"]:  # empty: Helm 3 then leaves the checks to the server
                self._send_bytes(b"", "application/octet-stream")
            case ["api"]:
                self._send({"kind": "APIVersions", "versions": ["v1"]})
            case ["apis"]:
                self._send(_groups())
            case ["api", version, *rest]:
                self._resource("", version, rest)
            case ["apis", group, version, *rest]:
                self._resource(group, version, rest)
            case _:
                raise Refusal(404, "NotFound", self.path)

    def _resource(self, group: str, version: str, rest: list[str]) -> None:
        kinds = RESOURCES.get((group, version))
        if kinds is None:
            raise Refusal(404, "NotFound", self.path)
        if not rest:
            self._send(_resource_list(group, version, kinds))
            return
        if rest[0] == "namespaces" and len(rest) == 2:
            self._send({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": rest[1]}})
            return
        namespace, rest = (rest[1], rest[2:]) if rest[0] == "namespaces" else ("", rest)
        if rest[0] not in kinds:
            raise Refusal(404, "NotFound", self.path)
        key = Key(group, rest[0], namespace, rest[1] if len(rest) > 1 else "")
        if rest[2:] == ["log"]:
            self._send_bytes(self.server.logs_of(key.name).encode(), "text/plain")
        else:
            self._objects(key, f"{group}/{version}" if group else version, kinds[rest[0]])

    def _objects(self, key: Key, api_version: str, kind: str) -> None:
        match self.command:
            case "GET" if key.name:
                self._send(self._found(key))
            case "GET" if self.query.get("watch") in {"1", "true"}:
                self._watch(key, api_version, kind)
            case "GET":
                items = [
                    item for item in self.server.store.list(key.group, key.resource, key.namespace) if self._asked(item)
                ]
                meta = {"resourceVersion": str(self.server.store.version)}
                self._send({"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta, "items": items})
            case "DELETE":
                self._delete(key)
            case _:
                self._write(key, api_version, kind)

    def _write(self, key: Key, api_version: str, kind: str) -> None:
        store = self.server.store
        sent = wire.secret(self.body) if self.body.startswith(wire.MAGIC) else yaml.safe_load(self.body)
        creates = self.command == "POST"
        key = Key(key.group, key.resource, key.namespace, sent["metadata"]["name"]) if creates else key
        old = store.get(key)
        new = self._patched(key, old, sent) if self.command == "PATCH" else sent
        new = {**new, "apiVersion": api_version, "kind": kind}
        if fault := faults({n: v for n, v in new.items() if n != "status"}, VERSION):
            raise Refusal(422, "Invalid", fault)
        if "dryRun" in self.query:
            self._send(new)
            return
        new = self.server.defaulted(new, old)
        try:
            self._send(store.create(key, new) if creates else store.put(key, new), 201 if creates else 200)
        except ConflictError:
            raise Refusal(409, "AlreadyExists", f'{key.resource} "{key.name}" already exists') from None

    def _patched(self, key: Key, old: Object | None, sent: Object) -> Object:
        content_type = self.headers.get("Content-Type", "")
        if "apply-patch" in content_type:
            return sent
        if old is None:
            raise Refusal(404, "NotFound", f'{key.resource} "{key.name}" not found')
        return dict(merged(old, sent, strategic="strategic" in content_type))

    def _delete(self, key: Key) -> None:
        """A pod goes when its process has ended; everything else at once."""
        found = self._found(key)
        if key.resource == "pods":
            self.server.store.change(key, lambda pod: pod["metadata"].setdefault("deletionTimestamp", now()))
        else:
            self.server.store.delete(key)
        self._send(found)

    def _watch(self, key: Key, api_version: str, kind: str) -> None:
        store = self.server.store
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        since = int(self.query.get("resourceVersion") or 0)
        if "sendInitialEvents" in self.query or not since:
            since = store.version
            for item in store.list(key.group, key.resource, key.namespace):
                if self._asked(item):
                    self._event("ADDED", item)
            meta = {"resourceVersion": str(since), "annotations": {"k8s.io/initial-events-end": "true"}}
            if "sendInitialEvents" in self.query:
                self._event("BOOKMARK", {"kind": kind, "apiVersion": api_version, "metadata": meta})

        def wanted(other: Key) -> bool:
            return (other.group, other.resource) == (key.group, key.resource) and key.namespace in {"", other.namespace}

        for change in store.watch(wanted, since, float(self.query.get("timeoutSeconds", 0))):
            if self.server.closing:
                return
            if change is None:
                self.wfile.flush()
            elif self._asked(change.object):
                self._event(change.type, change.object)

    def _event(self, kind: str, item: Object) -> None:
        self.wfile.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
        self.wfile.flush()

    def _found(self, key: Key) -> Object:
        found = self.server.store.get(key)
        if found is None:
            raise Refusal(404, "NotFound", f'{key.resource} "{key.name}" not found')
        return found

    def _asked(self, item: Object) -> bool:
        """Whether the selectors of the request match."""
        labels = item["metadata"].get("labels", {})
        by_label = re.findall(r"([^=,!]+)==?([^,]*)", self.query.get("labelSelector", ""))
        by_field = dict(re.findall(r"([^=,!]+)==?([^,]*)", self.query.get("fieldSelector", "")))
        name = by_field.get("metadata.name", item["metadata"]["name"])
        return name == item["metadata"]["name"] and all(labels.get(label) == value for label, value in by_label)

    def _send(self, answer: Object, code: int = 200) -> None:
        self._send_bytes(json.dumps(answer).encode(), "application/json", code)

    def _send_bytes(self, body: bytes, content_type: str, code: int = 200) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _groups() -> Object:
    groups = []
    for group, version in RESOURCES:
        if group:
            served = {"groupVersion": f"{group}/{version}", "version": version}
            groups.append({"name": group, "versions": [served], "preferredVersion": served})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _resource_list(group: str, version: str, kinds: dict[str, str]) -> Object:
    resources = [
        {"name": name, "singularName": kind.lower(), "kind": kind, "namespaced": True, "verbs": VERBS}
        for name, kind in kinds.items()
    ]
    served = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": served, "resources": resources}
