"""The objects of the cluster, with versions and a history that watches read."""

import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Where an object is."""

    group: str
    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    version: int
    type: str
    key: Key
    object: Object


class ConflictError(Exception):
    """There is such an object already."""


class Store:
    """Owns every object; hands out copies."""

    def __init__(self) -> None:
        self._objects: dict[Key, Object] = {}
        self._history: list[Change] = []
        self._changed = threading.Condition(threading.RLock())

    @property
    def version(self) -> int:
        return len(self._history)

    def get(self, key: Key) -> Object | None:
        with self._changed:
            return copy.deepcopy(self._objects.get(key))

    def list(self, group: str, resource: str, namespace: str = "") -> list[Object]:
        with self._changed:
            return [copy.deepcopy(o) for k, o in sorted(self._objects.items()) if _in(k, group, resource, namespace)]

    def create(self, key: Key, new: Object) -> Object:
        with self._changed:
            if key in self._objects:
                raise ConflictError(key.name)
            return self.put(key, new)

    def put(self, key: Key, new: Object) -> Object:
        """Write an object; what the server owns is kept, and the generation rises with the spec."""
        with self._changed:
            old = self._objects.get(key)
            new = copy.deepcopy(new)
            meta, was = new["metadata"], (old or {}).get("metadata", {})
            meta["name"], meta["namespace"] = key.name, key.namespace
            meta["uid"] = was.get("uid", str(uuid.uuid4()))
            meta["creationTimestamp"] = was.get("creationTimestamp", now())
            meta["generation"] = was.get("generation", 0) + (old is None or old.get("spec") != new.get("spec"))
            if old and "status" in old and "status" not in new:
                new["status"] = old["status"]
            if old is not None and _bare(old) == _bare(new):
                return copy.deepcopy(old)
            self._record("MODIFIED" if old else "ADDED", key, new)
            return copy.deepcopy(new)

    def change(self, key: Key, edit: Callable[[Object], None]) -> Object | None:
        """Edit an object in place, if it is there."""
        with self._changed:
            found = self.get(key)
            if found is None:
                return None
            edit(found)
            return self.put(key, found)

    def delete(self, key: Key) -> Object | None:
        with self._changed:
            old = self._objects.get(key)
            if old is not None:
                self._record("DELETED", key, old)
            return old

    def watch(self, wanted: Callable[[Key], bool], since: int, seconds: float) -> Iterator[Change | None]:
        """Changes after a version, as they come; None now and then, so that the reader can look if it should end."""
        ends = threading.TIMEOUT_MAX if seconds <= 0 else seconds
        waited = 0.0
        while waited < ends:
            with self._changed:
                if self.version == since and not self._changed.wait(0.5):
                    waited += 0.5
                news = self._history[since:]
            since += len(news)
            yield from [change for change in news if wanted(change.key)] or [None]

    def _record(self, kind: str, key: Key, new: Object) -> None:
        new = copy.deepcopy(new)
        new["metadata"]["resourceVersion"] = str(self.version + 1)
        self._history.append(Change(self.version + 1, kind, key, new))
        if kind == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = new
        self._changed.notify_all()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _in(key: Key, group: str, resource: str, namespace: str) -> bool:
    return (key.group, key.resource) == (group, resource) and namespace in {"", key.namespace}


def _bare(one: Object) -> Object:
    return {**one, "metadata": {n: v for n, v in one["metadata"].items() if n != "resourceVersion"}}
