"""A gateway for the tests: a real Envoy that follows the chart's routes as a Gateway's controller would make it.

Listeners and clusters are those of docs/proxies/envoy.yaml; routes come from the rendered HTTPRoute and GRPCRoute, and
are replaced while Envoy runs. A listener has the name of a route's sectionName.
"""

import asyncio
import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import yaml

from promedical.v1 import reward_pb2 as pb
from promedical.v1.reward_pb2_grpc import RewardServiceStub
from serving import free_port

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "proxies" / "envoy.yaml"
_VERSION = "x-routes"
_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
Json = dict[str, Any]


class Gateway:
    """Envoy with one listener per transport.

    Args:
        folder: Where its files go.
        services: Which address stands for the pods of a Service, by its name.
        ports: The pods' ports of gRPC and REST.
    """

    def __init__(self, folder: Path, services: Mapping[str, str], ports: tuple[int, int]) -> None:
        self._folder = folder
        self._version = 0
        self._ports = {"grpc": free_port(), "rest": free_port()}
        self.grpc_url = f"grpc://127.0.0.1:{self._ports['grpc']}"
        self.rest_url = f"http://127.0.0.1:{self._ports['rest']}"
        self.urls = (self.grpc_url, self.rest_url)
        (folder / "envoy.yaml").write_text(json.dumps(self._bootstrap(services, ports)))

    def write(self, manifests: list[Json]) -> None:
        """Put the routes where Envoy looks for them, each file whole."""
        self._version += 1
        for manifest in manifests:
            if manifest["kind"] in {"HTTPRoute", "GRPCRoute"}:
                (parent,) = manifest["spec"]["parentRefs"]
                file = self._folder / f"{parent['sectionName']}.yaml"
                table = {"@type": _TYPE, "name": parent["sectionName"], **self._table(manifest)}
                file.with_suffix(".new").write_text(
                    json.dumps({"version_info": str(self._version), "resources": [table]})
                )
                file.with_suffix(".new").rename(file)

    async def follow(self, manifests: list[Json]) -> None:
        """Replace the routes, and return when calls on both listeners are answered by them."""
        self.write(manifests)
        async with asyncio.timeout(60):
            while {await self._seen_over_rest(), await self._seen_over_grpc()} != {str(self._version)}:  # noqa: ASYNC110 - Envoy tells nobody
                await asyncio.sleep(0.05)

    async def _seen_over_rest(self) -> str | None:
        async with httpx.AsyncClient(base_url=self.rest_url) as client:
            return (await client.get("/v1/model")).headers.get(_VERSION)

    async def _seen_over_grpc(self) -> str | None:
        async with grpc.aio.insecure_channel(self.grpc_url.removeprefix("grpc://")) as channel:
            call = RewardServiceStub(channel).GetModel(pb.GetModelRequest())
            metadata = dict(iter(await call.initial_metadata()))
            await call
            return metadata.get(_VERSION)

    def _table(self, manifest: Json) -> Json:
        hosts = manifest["spec"].get("hostnames", ["*"])
        routes = [route for _, route in sorted(_routes(manifest), key=lambda pair: pair[0], reverse=True)]
        header = {"header": {"key": _VERSION, "value": str(self._version)}}
        return {
            "virtual_hosts": [{"name": "oracle", "domains": hosts, "routes": routes}],
            "response_headers_to_add": [header],
        }

    def _bootstrap(self, services: Mapping[str, str], ports: tuple[int, int]) -> Json:
        shipped = yaml.safe_load(EXAMPLE.read_text())["static_resources"]
        (listener,) = shipped["listeners"]
        clusters = {cluster["name"]: cluster for cluster in shipped["clusters"]}
        transports = list(zip(("grpc", "rest"), ports, strict=True))
        return {
            "node": {"id": "gateway", "cluster": "gateway"},
            "static_resources": {
                "listeners": [self._listener(listener, name) for name in self._ports],
                "clusters": [
                    _cluster(clusters[name], f"{service}:{port}", address, port)
                    for service, address in services.items()
                    for name, port in transports
                ],
            },
        }

    def _listener(self, shipped: Json, name: str) -> Json:
        made = copy.deepcopy(shipped) | {"name": name}
        made["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": self._ports[name]}
        manager = made["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["route_config"]
        source = {"path": str(self._folder / f"{name}.yaml"), "watched_directory": {"path": str(self._folder)}}
        manager["rds"] = {
            "route_config_name": name,
            "config_source": {"resource_api_version": "V3", "path_config_source": source},
        }
        return made


def _cluster(shipped: Json, name: str, address: str, port: int) -> Json:
    made = copy.deepcopy(shipped) | {"name": name}
    made["load_assignment"]["cluster_name"] = name
    (endpoint,) = made["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["endpoint"]["address"]["socket_address"] = {"address": address, "port_value": port}
    return made


def _routes(manifest: Json) -> Iterator[tuple[tuple[int, ...], Json]]:
    """Envoy's routes, each with its precedence in the Gateway API: what is longer or has more matches comes first."""
    for position, rule in enumerate(manifest["spec"]["rules"]):
        for match in rule["matches"]:
            path, exact, length = _path(match)
            headers = [{"name": h["name"], "string_match": {"exact": h["value"]}} for h in match.get("headers", [])]
            query = [{"name": q["name"], "string_match": {"exact": q["value"]}} for q in match.get("queryParams", [])]
            route = {
                "match": {**path, "headers": headers, "query_parameters": query},
                "route": {
                    "timeout": rule.get("timeouts", {}).get("request", "0s"),
                    "weighted_clusters": {
                        "clusters": [
                            {"name": f"{ref['name']}:{ref['port']}", "weight": ref.get("weight", 1)}
                            for ref in rule["backendRefs"]
                        ]
                    },
                },
            }
            yield (exact, length, len(headers), len(query), -position), route


def _path(match: Json) -> tuple[Json, int, int]:
    """How Envoy says it, whether it is exact, and its length."""
    if "method" in match:
        service = match["method"]["service"]
        return {"prefix": f"/{service}/", "grpc": {}}, 0, len(service)
    value, exact = match["path"]["value"], match["path"]["type"] == "Exact"
    return ({"path": value} if exact else {"path_separated_prefix": value}), int(exact), len(value)


@contextmanager
def running_gateway(gateway: Gateway, folder: Path) -> Iterator[None]:
    """Envoy for the block; its routes must have been written."""
    command = [Path(sys.executable).with_name("envoy"), "-c", folder / "envoy.yaml", "--concurrency", "1"]
    command += ["--base-id", str(os.getpid()), "--log-level", "error"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            try:
                httpx.get(f"{gateway.rest_url}/v1/model").raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)
