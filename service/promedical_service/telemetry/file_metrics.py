"""What was read of files that change while the service runs: keys, TLS files, rubrics."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge


class FileMetrics:
    """Gauges on the service's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._keys_ok = Gauge(
            "promedical_keys_file_ok",
            "0 while a line of the keys file, or the whole file, cannot be read; 1 without a keys file.",
            registry=registry,
        )
        self._tls_ok = Gauge(
            "promedical_tls_files_ok",
            "0 while changed TLS files cannot be used, so that the old ones are served; 1 without TLS.",
            registry=registry,
        )
        self._rubrics_ok = Gauge(
            "promedical_rubric_files_ok",
            "0 while changed rubric files cannot be used, so that the old ones stay; 1 without a rubric folder.",
            registry=registry,
        )
        self._certificate_begins = Gauge(
            "promedical_certificate_begins_timestamp_seconds",
            "Unix time from which the certificate of a TLS file that ends first is valid.",
            ["file"],
            registry=registry,
        )
        self._certificate_ends = Gauge(
            "promedical_certificate_ends_timestamp_seconds",
            "Unix time at which the first certificate of a TLS file ends.",
            ["file"],
            registry=registry,
        )
        for gauge in (self._keys_ok, self._tls_ok, self._rubrics_ok):
            gauge.set(1)

    def keys_read(self, *, ok: bool) -> None:
        """Show whether every line of the keys file can be read."""
        self._keys_ok.set(ok)

    def rubrics_read(self, *, ok: bool) -> None:
        """Show whether what the rubric folder holds is what is served."""
        self._rubrics_ok.set(ok)

    def tls_read(self, lives: Mapping[str, tuple[float, float]] | None) -> None:
        """Show from when to when, in Unix time, the certificate of each TLS file that ends first is valid.

        None: the files cannot be used. This is a listener for `ServerTls`.
        """
        self._tls_ok.set(lives is not None)
        if lives is None:
            return
        self._certificate_begins.clear()
        self._certificate_ends.clear()
        for file, (begins, ends) in lives.items():
            self._certificate_begins.labels(file).set(begins)
            self._certificate_ends.labels(file).set(ends)
