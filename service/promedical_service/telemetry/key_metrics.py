"""What the owners of API keys use, by their names in the keys file; callers cannot choose these names."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from promedical.errors import ERROR_TABLE
from promedical_service.types import OK

_MOST_NAMES: Final = 64
_THE_REST: Final = "(other)"


class KeyMetrics(Collector):
    """Metrics on the service's registry. At most 64 names are shown; the others are taken together.

    Args:
        registry: Where they are read.
        now: Unix time.
    """

    def __init__(self, registry: CollectorRegistry, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._shown: set[str] = set()
        self._ends: dict[str, list[float]] = {}
        self._requests = Counter(
            "promedical_key_requests",
            "Requests answered, by the name of the key and error code (ok for none); at most 64 names, then (other).",
            ["key", "code"],
            registry=registry,
        )
        self._tokens = Counter(
            "promedical_key_tokens",
            "Unique tokens admitted, by the name of the key; at most 64 names, then (other).",
            ["key"],
            registry=registry,
        )
        registry.register(self)

    def names_read(self, ends: Mapping[str, Sequence[float]]) -> None:
        """Begin to count for these names, whose keys end at these times. This is a listener for `KeyRing`."""
        read: dict[str, list[float]] = {}
        for name, times in ends.items():
            shown = self._label(name)
            read.setdefault(shown, []).extend(times)
            self._tokens.labels(shown)
            for code in (OK, *ERROR_TABLE):
                self._requests.labels(shown, code)
        self._ends = read

    def answered(self, key: str, code: str) -> None:
        """Count a request that was answered."""
        self._requests.labels(self._label(key), code).inc()

    def spent(self, key: str, tokens: int) -> None:
        """Count unique tokens that were admitted."""
        self._tokens.labels(self._label(key)).inc(tokens)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """When the next key of each name ends, computed when it is asked for, since time passes by itself."""
        meaning = "Unix time at which the next key of a name ends, or its last one did; at most 64 names, then (other)."
        family = GaugeMetricFamily("promedical_key_ends_timestamp_seconds", meaning, labels=["key"])
        for name, times in self._ends.items():
            next_end = min((each for each in times if each > self._now()), default=max(times))
            if math.isfinite(next_end):
                family.add_metric([name], next_end)
        yield family

    def _label(self, name: str) -> str:
        if name not in self._shown and len(self._shown) < _MOST_NAMES:
            self._shown.add(name)
        return name if name in self._shown else _THE_REST
