"""`promedical-serve --check`: every file that settings name is read and checked, and nothing is started or loaded.

It is stricter than the start: a single line of the keys file that cannot be read is a fault, and so is a certificate
that has ended. A file that is checked before it replaces a good one should be good itself.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from promedical_service.audit.sinks import STANDARD_OUTPUT, read_salt
from promedical_service.edges.tls import Lives, load_tls
from promedical_service.rubric_folder import RubricFolder
from promedical_service.settings import ConfigurationError, Settings
from promedical_service.shadow.opening import candidate_of
from promedical_service.tenancy.keys_file import content_of, read_keys
from promedical_service.tenancy.rates import Rates


def check(settings: Settings) -> list[str]:
    """What was found, one line each.

    Raises:
        ConfigurationError: Something is wrong: one line per fault, each naming the setting.
    """
    found: list[str] = []
    faults: list[str] = []
    for look in (
        _check_model,
        _check_keys,
        _check_rates,
        _check_rubrics,
        _check_tls,
        _check_audit,
        _check_shadow_file,
        _check_candidate,
    ):
        try:
            found += look(settings)
        except ConfigurationError as error:
            faults.append(str(error))
    if faults:
        raise ConfigurationError("\n".join(faults))
    return found


def _check_model(settings: Settings) -> list[str]:
    """Only whether its folder is there: to look into it would take as long as a start."""
    if settings.engine != "fake" and settings.model.startswith(("/", ".")) and not Path(settings.model).is_dir():
        raise ConfigurationError(f"model: there is no folder {settings.model}")
    return []


def _check_keys(settings: Settings) -> list[str]:
    file = settings.keys_file
    if file is None:
        return ["keys: none, so everybody who reaches the ports may call"]
    read = read_keys(content_of(file))
    if read.faults:
        raise ConfigurationError("\n".join(f"keys_file: {file}{fault}" for fault in read.faults))
    valid = [key for key in read.keys if key.expires is None or key.expires > datetime.now(UTC)]
    if not valid:
        raise ConfigurationError(f"keys_file: {file}: every key has expired; add a new one")
    return [f"keys: {len(valid)} valid, {len(read.keys) - len(valid)} expired"]


def _check_rates(settings: Settings) -> list[str]:
    faults = []
    for rates in ((settings.rate_limit, None), (None, settings.token_rate_limit)):
        try:
            Rates(*rates)
        except ConfigurationError as error:
            faults.append(str(error))
    if faults:
        raise ConfigurationError("\n".join(faults))
    return []


def _check_rubrics(settings: Settings) -> list[str]:
    catalog = RubricFolder(settings.rubric_dir, settings.default_rubric).catalog()
    return [f"rubrics: {', '.join(catalog.names)}"]


def _check_tls(settings: Settings) -> list[str]:
    ends: dict[str, float] = {}
    if load_tls(settings, _remember(ends)) is None:
        return ["TLS: off"]
    over = [name for name, end in ends.items() if end < time.time()]
    if over:
        raise ConfigurationError("\n".join(f"{name}: a certificate in it has ended; renew it" for name in over))
    first = datetime.fromtimestamp(min(ends.values()), UTC) if ends else None
    return [f"TLS: on, the first certificate ends {first:%Y-%m-%d}" if first else "TLS: on"]


def _check_audit(settings: Settings) -> list[str]:
    """Without making the file."""
    read_salt(settings.audit_salt_file)
    _check_writable("audit_file", settings.audit_file)
    return []


def _check_shadow_file(settings: Settings) -> list[str]:
    _check_writable("shadow_file", settings.shadow_file)
    return []


def _check_candidate(settings: Settings) -> list[str]:
    """Without asking it: it may start later than this service."""
    candidate = candidate_of(settings)
    if candidate is None:
        return []
    candidate.close()
    return [f"shadow: {settings.shadow_share:.3g} of the requests to {settings.shadow_url}"]


def _check_writable(setting: str, target: str | None) -> None:
    if target is None or target == STANDARD_OUTPUT:
        return
    file = Path(target)
    if not os.access(file if file.exists() else file.parent, os.W_OK) or file.is_dir():
        raise ConfigurationError(f"{setting}: {target} cannot be written; make its folder, or choose another file")


def _remember(ends: dict[str, float]) -> Callable[[Lives | None], None]:
    return lambda lives: ends.update({name: end for name, (_, end) in (lives or {}).items()})
