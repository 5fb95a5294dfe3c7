"""Helm 3 and 4 send Secrets of releases as protobuf; this reads them. The field numbers are those of k8s.io/api."""

import base64
from collections.abc import Iterator
from typing import Any

MAGIC = b"k8s\0"
_VARINT, _FIXED64, _BYTES = 0, 1, 2


def secret(raw: bytes) -> dict[str, Any]:
    """A v1 Secret out of the envelope that the Kubernetes client writes."""
    envelope = dict(_fields(raw.removeprefix(MAGIC)))
    kind = dict(_fields(envelope[1]))
    found: dict[str, Any] = {"apiVersion": kind[1].decode(), "kind": kind[2].decode(), "metadata": {}, "data": {}}
    for number, value in _fields(envelope[2]):
        if number == 1:
            found["metadata"] = _metadata(value)
        elif number == 2:
            entry = dict(_fields(value))
            found["data"][entry[1].decode()] = base64.b64encode(entry.get(2, b"")).decode()
        elif number == 3:
            found["type"] = value.decode()
    return found


def _metadata(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"labels": {}}
    for number, value in _fields(raw):
        if number == 1:
            found["name"] = value.decode()
        elif number == 3 and value:
            found["namespace"] = value.decode()
        elif number == 11:
            entry = dict(_fields(value))
            found["labels"][entry[1].decode()] = entry.get(2, b"").decode()
    return found


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(raw, at)
            yield number, value
        elif kind == _BYTES:
            length, at = _varint(raw, at)
            yield number, raw[at : at + length]
            at += length
        else:
            at += 8 if kind == _FIXED64 else 4


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
