"""The fields of the Gateway API (gateway.networking.k8s.io/v1) that the chart uses, with the bounds of its CRDs."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
Hostname = Annotated[str, Field(max_length=253, pattern=rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$")]
Section = Annotated[str, Field(max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
HeaderName = Annotated[str, Field(max_length=256, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$")]
Duration = Annotated[str, Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
_MOST_MATCHES = 128


class Part(BaseModel):
    """Unknown fields are lost in it, which the check of a manifest reports."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)


class ParentRef(Part):
    group: str = "gateway.networking.k8s.io"
    kind: str = "Gateway"
    namespace: str | None = None
    name: str
    section_name: Section | None = None
    port: Port | None = None


class BackendRef(Part):
    name: Annotated[str, Field(min_length=1, max_length=253)]
    port: Port
    weight: Annotated[int, Field(ge=0, le=1_000_000)] = 1


class Header(Part):
    type: Literal["Exact", "RegularExpression"]
    name: HeaderName
    value: Annotated[str, Field(min_length=1, max_length=4096)]


class QueryParam(Header):
    value: Annotated[str, Field(min_length=1, max_length=1024)]


class Path(Part):
    type: Literal["Exact", "PathPrefix", "RegularExpression"]
    value: Annotated[str, Field(max_length=1024, pattern=r"^/[-A-Za-z0-9/._~!$&'()*+,;=:@%]*$")]


class HTTPMatch(Part):
    path: Path
    headers: Annotated[list[Header], Field(max_length=16)] = []
    query_params: Annotated[list[QueryParam], Field(max_length=16)] = []


class Method(Part):
    type: Literal["Exact", "RegularExpression"] = "Exact"
    service: Annotated[str, Field(max_length=1024, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
    method: str | None = None


class GRPCMatch(Part):
    method: Method
    headers: Annotated[list[Header], Field(max_length=16)] = []


class Timeouts(Part):
    request: Duration


class HTTPRule(Part):
    matches: Annotated[list[HTTPMatch], Field(min_length=1, max_length=64)]
    timeouts: Timeouts | None = None
    backend_refs: Annotated[list[BackendRef], Field(min_length=1, max_length=16)]


class GRPCRule(Part):
    matches: Annotated[list[GRPCMatch], Field(min_length=1, max_length=64)]
    backend_refs: Annotated[list[BackendRef], Field(min_length=1, max_length=16)]


class Route(Part):
    parent_refs: Annotated[list[ParentRef], Field(min_length=1, max_length=32)]
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = []


class HTTPSpec(Route):
    rules: Annotated[list[HTTPRule], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _bounded(self) -> "HTTPSpec":
        assert sum(len(rule.matches) for rule in self.rules) <= _MOST_MATCHES, "too many matches"
        return self


class GRPCSpec(Route):
    rules: Annotated[list[GRPCRule], Field(min_length=1, max_length=16)]


class Target(Part):
    group: str
    kind: str
    name: str


class Validation(Part):
    hostname: Hostname
    ca_certificate_refs: Annotated[list[Target], Field(min_length=1, max_length=8)]


class PolicySpec(Part):
    target_refs: Annotated[list[Target], Field(min_length=1, max_length=16)]
    validation: Validation


class _Object(Part):
    api_version: Literal["gateway.networking.k8s.io/v1"]
    kind: str
    metadata: dict[str, Any]


class HTTPRoute(_Object):
    spec: HTTPSpec


class GRPCRoute(_Object):
    spec: GRPCSpec


class BackendTLSPolicy(_Object):
    spec: PolicySpec
