"""Writes docs/compose/alerts.yaml: the chart's alerts, as the real Helm renders them, for Prometheus alone.

`--check` changes nothing and fails if the file is stale.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from scripts.ci.fetch_helm import RELEASES, FetchError, fetch

ROOT: Final = Path(__file__).resolve().parents[2]
ALERTS: Final = ROOT / "docs" / "compose" / "alerts.yaml"
CHART: Final = ROOT / "helm" / "promedical"
_HEAD: Final = "# The alerts of the Helm chart. `make chart-docs` writes this.\n"
_RELEASE: Final = ("promedical", "--namespace", "compose", "--kube-version", "1.35.0")
"""The labels of the release are those of docs/compose/prometheus.yaml."""
_VALUES: Final = (
    *("--values", str(CHART / "examples" / "cpu-trial.yaml")),
    *("--set", "monitoring.rules.enabled=true", "--set", "monitoring.scrape=podMonitor"),
)
_PLACEHOLDER: Final = "https://example.invalid/"
"""Of the chart's runbooks: nobody but the user knows where they are published. Here they are files beside this one."""


def alerts(helm: Path) -> str:
    """The file, as this Helm renders it."""
    command = [str(helm), "template", *_RELEASE, *_VALUES, str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    objects: list[dict[str, Any]] = [each for each in yaml.safe_load_all(done.stdout) if each]
    (rules,) = (each for each in objects if each["kind"] == "PrometheusRule")
    text = str(yaml.safe_dump({"groups": rules["spec"]["groups"]}, sort_keys=False, width=120))
    return _HEAD + text.replace(_PLACEHOLDER, "")


def main() -> int:
    """Write or check; return the exit code."""
    try:
        wanted = alerts(fetch(RELEASES[-1]))
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    if "--check" not in sys.argv:
        ALERTS.write_text(wanted, encoding="utf-8")
        return 0
    if not ALERTS.is_file() or ALERTS.read_text(encoding="utf-8") != wanted:
        print(f"{ALERTS.relative_to(ROOT)} is stale; run 'make chart-docs'")
        return 1
    print("the alerts of docs/compose are those of the chart")
    return 0


if __name__ == "__main__":
    sys.exit(main())
