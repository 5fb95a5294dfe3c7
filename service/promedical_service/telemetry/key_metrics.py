"""What the owners of API keys use, by their names in the keys file; callers cannot choose these names."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from promedical.errors import ERROR_TABLE
from promedical_service.types import OK

_MOST_NAMES: Final = 64
_THE_REST: Final = "(other)"


class KeyMetrics:
    """Counters on the service's registry. At most 64 names are shown; the others are counted together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shown: set[str] = set()
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

    def names_read(self, names: Iterable[str]) -> None:
        """Begin to count for these names. This is a listener for `KeyRing`."""
        for name in names:
            shown = self._label(name)
            self._tokens.labels(shown)
            for code in (OK, *ERROR_TABLE):
                self._requests.labels(shown, code)

    def answered(self, key: str, code: str) -> None:
        """Count a request that was answered."""
        self._requests.labels(self._label(key), code).inc()

    def spent(self, key: str, tokens: int) -> None:
        """Count unique tokens that were admitted."""
        self._tokens.labels(self._label(key)).inc(tokens)

    def _label(self, name: str) -> str:
        if name not in self._shown and len(self._shown) < _MOST_NAMES:
            self._shown.add(name)
        return name if name in self._shown else _THE_REST
