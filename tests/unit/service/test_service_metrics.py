"""Metrics: names, labels that exist from the start, and what the hooks count."""

import math
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from promedical.errors import ERROR_TABLE, ErrorCode
from promedical.messages import ModelRef
from promedical.rubric import Dimension
from promedical.rubric_files import NamedRubric, load_catalog
from promedical_service.health import State
from promedical_service.telemetry.key_metrics import KeyMetrics
from promedical_service.telemetry.metrics import Metrics
from promedical_service.types import BatchReport

MODEL = {"name": "m", "revision": "r", "fingerprint": "f", "engine": "torch", "dtype": "float32"}


def samples(metrics):
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("promedical_")
    }


def value(metrics, name, /, **labels):
    return samples(metrics)[name, *sorted(labels.items())]


def test_metrics_names_and_labels_are_a_frozen_surface(snapshot):
    metrics = Metrics()
    metrics.model_loaded(ModelRef(**MODEL))
    metrics.rubrics_loaded(load_catalog())
    metrics.files.tls_read({"tls_cert_file": (1.0, 2.0)})
    metrics.keys_read({"trainer": [3.0]}, ok=True)
    lines = sorted({f"{name} {' '.join(label for label, _ in labels)}".rstrip() for name, *labels in samples(metrics)})
    snapshot("service_metrics.txt", "\n".join(lines) + "\n")


def test_metrics_every_combination_exists_before_the_first_request():
    found = samples(Metrics())
    for transport in ("grpc", "rest"):
        for method in ("ScoreBatch", "RankResponses", "ListRubrics", "GetRubric", "GetModel"):
            for code in ("ok", *ERROR_TABLE):
                labels = (("code", code), ("method", method), ("transport", transport))
                assert found["promedical_requests_total", *labels] == 0


def test_metrics_requests_and_requests_in_flight():
    metrics = Metrics()
    metrics.request_started()
    assert value(metrics, "promedical_requests_in_flight") == 1
    metrics.request_finished("grpc", "ScoreBatch", "bulk", "ok", 0.25)
    assert value(metrics, "promedical_requests_in_flight") == 1
    metrics.request_left()
    assert value(metrics, "promedical_requests_in_flight") == 0
    assert value(metrics, "promedical_requests_total", transport="grpc", method="ScoreBatch", code="ok") == 1
    assert value(metrics, "promedical_request_seconds_sum", transport="grpc", method="ScoreBatch") == 0.25


def test_metrics_time_of_scoring_is_that_of_requests_that_were_not_refused():
    metrics = Metrics()
    for lane, code in (("bulk", "ok"), ("bulk", "deadline"), ("bulk", "overloaded"), (None, "unauthenticated")):
        metrics.request_finished("rest", "Rerank", lane, code, 0.25)
    assert value(metrics, "promedical_scoring_seconds_count", lane="bulk") == 2
    assert value(metrics, "promedical_scoring_seconds_count", lane="interactive") == 0


def test_metrics_of_files():
    metrics = Metrics()
    assert value(metrics, "promedical_tls_files_ok") == 1
    metrics.files.tls_read({"tls_cert_file": (1.0, 2.0), "tls_client_ca_file": (3.0, 4.0)})
    metrics.files.tls_read(None)
    assert value(metrics, "promedical_tls_files_ok") == 0
    assert value(metrics, "promedical_certificate_ends_timestamp_seconds", file="tls_client_ca_file") == 4
    metrics.files.tls_read({"tls_cert_file": (5.0, 6.0)})
    assert value(metrics, "promedical_tls_files_ok") == 1
    assert value(metrics, "promedical_certificate_begins_timestamp_seconds", file="tls_cert_file") == 5
    assert ("promedical_certificate_ends_timestamp_seconds", ("file", "tls_client_ca_file")) not in samples(metrics)


def test_metrics_scoring_events():
    metrics = Metrics()
    metrics.item_finished("bulk", ErrorCode.TOO_LONG)
    metrics.response_scored(vetoed=True, safety_checked=True)
    metrics.response_scored(vetoed=False, safety_checked=False)
    metrics.criterion_scored(Dimension.SAFETY, 0.75)
    metrics.stage_finished("queue", "bulk", 0.5, 0.0)
    metrics.queue_changed("bulk", 3, 400)
    metrics.batch_finished(BatchReport(trees=1, leaves=2, tokens_computed=100, tokens_flat=800, engine_s=0.5))
    assert value(metrics, "promedical_items_total", lane="bulk", outcome="too_long") == 1
    assert value(metrics, "promedical_responses_safety_checked_total") == 1
    assert value(metrics, "promedical_responses_vetoed_total") == 1
    assert value(metrics, "promedical_criteria_scored_total", dimension="safety") == 1
    assert value(metrics, "promedical_criterion_probability_bucket", dimension="safety", le="0.7") == 0
    assert value(metrics, "promedical_criterion_probability_bucket", dimension="safety", le="0.8") == 1
    assert value(metrics, "promedical_stage_seconds_sum", stage="queue", lane="bulk") == 0.5
    assert value(metrics, "promedical_queue_items", lane="bulk") == 3
    assert value(metrics, "promedical_queue_tokens", lane="bulk") == 400
    assert value(metrics, "promedical_tokens_flat_total") == 800
    assert value(metrics, "promedical_tokens_computed_total") == 100
    assert value(metrics, "promedical_batch_unique_tokens_sum") == 100
    assert value(metrics, "promedical_engine_busy_seconds_total") == 0.5


def test_metrics_state_and_model():
    metrics = Metrics()
    metrics.state_changed(State.READY)
    assert value(metrics, "promedical_ready") == 1
    metrics.state_changed(State.DRAINING)
    assert value(metrics, "promedical_ready") == 0
    metrics.model_loaded(ModelRef(**MODEL))
    assert value(metrics, "promedical_model_info", **MODEL) == 1


def test_metrics_show_the_rubrics_that_can_be_named_now():
    metrics, (named,) = Metrics(), load_catalog()
    metrics.rubrics_loaded([NamedRubric(title="", rubric=replace(named.rubric, id="old"))])
    metrics.rubrics_loaded([named])
    labels = {"name": "general-medical", "version": "1", "sha256": named.rubric.sha256[:12]}
    assert value(metrics, "promedical_rubric_info", **labels) == 1
    assert len([name for name, *_ in samples(metrics) if name == "promedical_rubric_info"]) == 1


def test_metrics_tell_of_process_and_collector():
    text = Metrics().exposition().decode()
    assert "process_resident_memory_bytes" in text
    assert "python_gc_collections_total" in text
    assert "_created" not in text


def test_metrics_show_at_most_64_names_of_keys_and_count_the_others_together():
    metrics = Metrics()
    metrics.keys_read({f"tenant-{number}": [math.inf] for number in range(100)}, ok=True)
    for number in range(200):
        metrics.key_answered(f"tenant-{number}", "ok")
        metrics.key_spent(f"tenant-{number}", 10)
    assert value(metrics, "promedical_key_requests_total", key="tenant-63", code="ok") == 1
    assert value(metrics, "promedical_key_tokens_total", key="tenant-63") == 10
    assert value(metrics, "promedical_key_requests_total", key="(other)", code="ok") == 136
    keys = {dict(labels)["key"] for name, *labels in samples(metrics) if name == "promedical_key_tokens_total"}
    assert len(keys) == 65


NOW, NEVER = 1000.0, math.inf


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ([NEVER], None),
        ([1500.0], 1500.0),
        ([1500.0, 1200.0], 1200.0),  # the next one
        ([1500.0, NEVER], 1500.0),  # its owner may not use the other one yet
        ([900.0, 1500.0], 1500.0),  # the first is over, and another one is left
        ([900.0, NEVER], None),
        ([NOW], NOW),  # over, and no other is left
        ([900.0, 800.0], 900.0),
    ],
)
def test_metrics_show_when_the_next_key_of_a_name_ends(ends, shown):
    registry = CollectorRegistry()
    KeyMetrics(registry, now=lambda: NOW).names_read({"a": ends})
    assert registry.get_sample_value("promedical_key_ends_timestamp_seconds", {"key": "a"}) == shown


def test_metrics_of_ends_are_bounded_and_those_of_a_name_that_is_gone_are_gone():
    registry = CollectorRegistry()
    keys = KeyMetrics(registry, now=lambda: NOW)
    keys.names_read({f"tenant-{number}": [2000.0 - number] for number in range(100)})
    (family,) = [each for each in registry.collect() if each.name == "promedical_key_ends_timestamp_seconds"]
    shown = {sample.labels["key"]: sample.value for sample in family.samples}
    assert len(shown) == 65
    assert shown["(other)"] == 2000 - 99
    keys.names_read({"tenant-1": [NEVER]})
    assert [family.samples for family in keys.collect()] == [[]]
