"""The configuration: one frozen value, read once from flags, environment and a YAML file before a port opens.

Precedence: flag, then `PROMEDICAL_*`, then YAML, then default. This module does not know what the values are used for.
Files that a setting names are read by the modules that use them, which raise `ConfigurationError` too.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from promedical_data.plain_yaml import read_plain_yaml

ENV_PREFIX: Final = "PROMEDICAL_"
EXIT_MISCONFIGURED: Final = 2
LARGEST_AT_ONCE: Final = 16
"""How many requests of the largest size may be in progress at the same time."""

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ConfigurationError(Exception):
    """The service is configured wrongly: one line per error, each naming the setting and what to do."""


class Settings(BaseSettings):
    """Everything an operator can choose. Docstrings of fields are the help texts of the flags."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    config: Path | None = None
    """YAML file with any of these settings, in snake_case."""
    host: str = "127.0.0.1"
    """Address that every port listens on; 0.0.0.0 for all IPv4 interfaces, :: for all."""
    rest_port: Port = 8080
    """Port for REST; 0 takes a free one and logs it."""
    grpc_port: Port = 50051
    """Port for gRPC; 0 takes a free one and logs it."""
    health_port: Port | None = None
    """Port for gRPC health only, always plaintext, for probes that cannot use TLS; none by default."""

    engine: Literal["torch", "vllm", "fake"] = "torch"
    """What computes: torch (tree attention on a CPU or one GPU), vllm (several GPUs) or fake (a hash, for tests)."""
    model: Annotated[str, Field(min_length=1)] = "default"
    """Reward model: "default" (fetched and converted once), a folder, or the id of a repository on the hub."""
    revision: str | None = None
    """Commit, tag or branch of the repository on the hub."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the computation; auto is bfloat16 on a GPU and float32 on a CPU."""
    threads: Count | None = None
    """CPU threads for torch; by default torch chooses."""
    tensor_parallel: Count = 1
    """Number of GPUs that the model is split over, on all nodes; more than 1 needs the engine vllm."""
    nodes: Count = 1
    """Number of nodes with these GPUs; more than 1 needs a running Ray cluster that joins them."""
    rubric_dir: Path | None = None
    """Folder with rubric files, in addition to the built-in rubrics."""
    default_rubric: Annotated[str, Field(min_length=1)] = "general-medical"
    """Rubric that drop-in endpoints judge by if a request has no criteria."""
    gather_s: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.02
    """Seconds that a drop-in request with one response waits for others to the same prompt, to share its tree."""
    thoughts: Literal["leave_out", "require", "judge"] = "leave_out"
    """Thoughts (<think>) in drop-ins: not judged (leave_out), not judged but needed (require), or judged (judge)."""

    keys_file: Path | None = None
    """File with one key per line (`name:key` or JSON); then all calls but health, readiness and metrics need a key."""
    metrics_need_key: bool = False
    """true: `/metrics` can be read only with a key that has the role metrics; false: anybody can read it."""
    rate_limit: str | None = None
    """Requests that one key may send to this replica, such as 600/minute; calls without a key share one rate."""
    token_rate_limit: str | None = None
    """Unique tokens that one key may have scored by this replica, such as 1000000/minute."""
    key_queue_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Largest part of the queue that one key may fill; a key's own line in the keys file may set another."""
    tls_cert_file: Path | None = None
    """Certificate chain in PEM; turns TLS on for REST and gRPC."""
    tls_key_file: Path | None = None
    """Private key in PEM, not encrypted."""
    tls_client_ca_file: Path | None = None
    """Authorities in PEM that client certificates must come from; turns mutual TLS on."""

    max_request_bytes: Annotated[int, Field(ge=1024, le=1024**3)] = 32 * 1024**2
    """Largest request body or message; all requests in progress together may hold 16 times as much."""
    max_items: Count = 256
    """Most items in one request."""
    max_responses_per_item: Count = 128
    """Most responses in one item."""
    max_criteria_per_item: Count = 128
    """Most criteria of one item."""
    max_queue_tokens: Count = 2_000_000
    """Most unique tokens that may wait; then calls get `overloaded`, unless their key holds less than an even part."""
    max_batch_tokens: Count = 8192
    """Most unique tokens in one pass of the engine."""
    max_batch_s: Seconds = 1.0
    """Most seconds that one pass should take, by estimate, so that requests do not wait long for its end."""
    max_concurrent_requests: Count = 1024
    """Most requests in progress on both transports together; requests beyond that are answered `overloaded`."""
    bulk_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Part of the engine that bulk keeps while interactive requests wait, above 0 and below 1."""
    default_timeout_s: Seconds = 300.0
    """Deadline in seconds of a request that sets none; a request's own deadline, shorter or longer, replaces it."""
    drain_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """Seconds that requests in progress get to finish after SIGTERM; the rest is answered `unavailable`."""
    overload_status: Literal[503, 429] = 503
    """HTTP status of `overloaded`; some proxies and clients want 429."""
    connection_max_age_s: Seconds = 300.0
    """Age in seconds at which gRPC connections are asked to reconnect, so that clients find new replicas."""

    audit_file: Annotated[str, Field(min_length=1)] | None = None
    """File that gets one JSON line per answered response, without its text; - for standard output. None by default."""
    audit_max_mb: Count = 100
    """Size in megabytes at which the audit file, or the shadow file, is put aside and a new one begins."""
    audit_keep: Count = 10
    """Most files of either kind that are kept beside the one that is written."""
    audit_salt_file: Path | None = None
    """File with a secret of 16 bytes or more: audit records then hold hashes (HMAC-SHA256) of prompts and responses."""

    shadow_url: Annotated[str, Field(pattern="^grpcs?://")] | None = None
    """Candidate service that scores a share of the requests too, to compare: grpc:// or grpcs://HOST:PORT; or none."""
    shadow_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of the requests that the candidate scores too; a request that is sent again is in or out as before."""
    shadow_timeout_s: Seconds = 60.0
    """Longest time that the candidate may take for one request."""
    shadow_queue_mb: Count = 64
    """Most megabytes of requests that wait for the candidate; more is dropped."""
    shadow_file: Annotated[str, Field(min_length=1)] | None = None
    """File that gets one JSON line per compared response, without its text; - for standard output. None by default."""
    shadow_api_key_file: Path | None = None
    """File with the API key to present to the candidate; it is read again for every call."""
    shadow_ca_file: Path | None = None
    """Authorities in PEM that the candidate's certificate must come from; by default those of the system."""
    shadow_cert_file: Path | None = None
    """Certificate in PEM to present to the candidate, for mutual TLS."""
    shadow_cert_key_file: Path | None = None
    """Private key in PEM of that certificate."""

    trace_endpoint: Annotated[str, Field(pattern="^https?://")] | None = None
    """Collector for traces as OTLP over HTTP, such as http://collector:4318; no traces by default."""
    trace_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of calls that are traced; a caller that sends a trace of its own decides for itself."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """Format of logs: json for machines, console for people; auto is console on a terminal and json elsewhere."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook hands it over
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook hands it over
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the YAML file that one of them names."""
        file = init_settings().get("config") or env_settings().get("config")
        return init_settings, env_settings, InitSettingsSource(settings_cls, _read_yaml(file))

    @model_validator(mode="before")
    @classmethod
    def _accept_numbers_as_words(cls, values: Any) -> Any:
        """Read a number from the text of a flag or variable, since a Literal of numbers does not read text."""
        status = values.get("overload_status") if isinstance(values, dict) else None
        if isinstance(status, str) and status.isdecimal():
            return {**values, "overload_status": int(status)}
        return values

    @model_validator(mode="after")
    def _check_engine(self) -> "Settings":
        if self.tensor_parallel > 1 and self.engine != "vllm":
            raise ValueError(f"tensor_parallel is {self.tensor_parallel}: only the engine vllm uses several GPUs")
        if self.tensor_parallel % self.nodes:
            raise ValueError(f"nodes is {self.nodes}: expected a divisor of tensor_parallel, {self.tensor_parallel}")
        return self

    @model_validator(mode="after")
    def _check_shadow(self) -> "Settings":
        files = ("shadow_file", "shadow_api_key_file", "shadow_ca_file", "shadow_cert_file", "shadow_cert_key_file")
        given = [name for name in files if getattr(self, name) is not None]
        if given and self.shadow_url is None:
            raise ValueError(f"{given[0]} needs shadow_url, the candidate")
        if (self.shadow_cert_file is None) != (self.shadow_cert_key_file is None):
            raise ValueError("shadow_cert_file and shadow_cert_key_file belong together; set both or neither")
        if self.shadow_file is not None and self.shadow_file == self.audit_file:
            raise ValueError(f"shadow_file and audit_file are both {self.audit_file}; name two files")
        return self

    @model_validator(mode="after")
    def _check_files(self) -> "Settings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file belong together; set both or neither")
        if self.metrics_need_key and self.keys_file is None:
            raise ValueError("metrics_need_key needs keys_file, with a key that has the role metrics")
        if self.audit_salt_file is not None and self.audit_file is None and self.shadow_file is None:
            raise ValueError("audit_salt_file needs audit_file or shadow_file")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError("tls_client_ca_file needs tls_cert_file and tls_key_file too")
        return self


def _read_yaml(file: Path | str | None) -> dict[str, Any]:
    content = read_plain_yaml(Path(file).read_text(encoding="utf-8")) if file else None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise TypeError("expected a mapping of settings")
    return content
