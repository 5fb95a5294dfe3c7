"""The fields of LeaderWorkerSet that our example uses, after its API leaderworkerset.x-k8s.io/v1."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from pydantic.alias_generators import to_camel


class Part(BaseModel):
    """Unknown fields are lost in it, which the check of a manifest reports."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)


class Rolling(Part):
    max_unavailable: int = Field(ge=0)
    max_surge: int = Field(ge=0)


class Rollout(Part):
    type: Literal["RollingUpdate"]
    rolling_update_configuration: Rolling


class Group(Part):
    """The templates are Kubernetes' own."""

    size: PositiveInt
    restart_policy: Literal["RecreateGroupOnPodRestart", "None"]
    leader_template: dict[str, Any]
    worker_template: dict[str, Any]


class Spec(Part):
    replicas: int = Field(ge=0)
    rollout_strategy: Rollout
    leader_worker_template: Group


class LeaderWorkerSet(Part):
    api_version: str
    kind: str
    metadata: dict[str, Any]
    spec: Spec
