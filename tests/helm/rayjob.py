"""The fields of KubeRay's RayJob that our example uses, after its API ray.io/v1; its pods are Kubernetes' own."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from pydantic.alias_generators import to_camel


class Part(BaseModel):
    """Unknown fields are lost in it, which the check of a manifest reports."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)


class Group(Part):
    ray_start_params: dict[str, str]
    template: dict[str, Any]


class WorkerGroup(Group):
    group_name: str
    replicas: int = Field(ge=0)
    min_replicas: int = Field(ge=0)
    max_replicas: PositiveInt


class RayCluster(Part):
    ray_version: str
    head_group_spec: Group
    worker_group_specs: list[WorkerGroup]


class RayJobSpec(Part):
    entrypoint: str
    backoff_limit: int = Field(ge=0)
    shutdown_after_job_finishes: bool
    ttl_seconds_after_finished: int = Field(ge=0)
    ray_cluster_spec: RayCluster


class RayJob(Part):
    api_version: str
    kind: str
    metadata: dict[str, Any]
    spec: RayJobSpec
