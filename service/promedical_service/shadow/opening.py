"""The shadow that settings ask for."""

from collections.abc import Callable

from promedical_service.audit.audit_log import AuditLog
from promedical_service.audit.sinks import open_sink, read_salt
from promedical_service.settings import Settings
from promedical_service.shadow.candidate import Candidate
from promedical_service.shadow.shadow import Shadow
from promedical_service.telemetry.shadow_metrics import ShadowMetrics

_MEGABYTE = 10**6


def candidate_of(settings: Settings) -> Candidate | None:
    """The candidate; None if there is none. Nothing is sent.

    Raises:
        ConfigurationError: Its address or one of its files cannot be used.
    """
    if settings.shadow_url is None:
        return None
    return Candidate(
        settings.shadow_url,
        timeout_s=settings.shadow_timeout_s,
        api_key_file=settings.shadow_api_key_file,
        ca_file=settings.shadow_ca_file,
        cert_file=settings.shadow_cert_file,
        cert_key_file=settings.shadow_cert_key_file,
    )


def open_shadow(settings: Settings, metrics: ShadowMetrics, under_load: Callable[[], bool]) -> Shadow | None:
    """The shadow with its records; None without a candidate.

    Raises:
        ConfigurationError: The candidate's address or a file cannot be used.
    """
    candidate = candidate_of(settings)
    if candidate is None:
        return None
    return Shadow(
        candidate,
        metrics,
        share=settings.shadow_share,
        most_bytes=settings.shadow_queue_mb * _MEGABYTE,
        under_load=under_load,
        log=_records(settings, metrics),
        salt=read_salt(settings.audit_salt_file),
    )


def _records(settings: Settings, metrics: ShadowMetrics) -> AuditLog | None:
    if settings.shadow_file is None:
        return None
    sink = open_sink(
        settings.shadow_file,
        max_bytes=settings.audit_max_mb * _MEGABYTE,
        keep=settings.audit_keep,
        setting="shadow_file",
    )
    return AuditLog(sink, None, metrics.recorded, kind="shadow")
