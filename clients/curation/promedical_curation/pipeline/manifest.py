"""What a stage wrote, from what, and by which code and settings: a JSON file beside its rows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from promedical_curation.asking.requests import canonical_json, digest
from promedical_curation.errors import CurationError
from promedical_data.files import write_atomically

NAME: Final = "manifest.json"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One stage's work.

    Attributes:
        promedical_curation: The version of this format.
        stage: The stage's name.
        fingerprint: What the outcomes depend on besides the input: by name, a value or a digest.
        chain: The digest of this fingerprint and of those of all stages before.
        input_digest: The digest of the rows that came in; None for a source.
        rows_in: How many came in; for a source, how many it read.
        kept: How many go on.
        dropped: How many were taken out, by reason.
        failed: How many could not be decided about, by error.
        digests: The digests of the files.
        seconds: How long it took.
    """

    promedical_curation: int = VERSION
    stage: str
    fingerprint: Mapping[str, str]
    chain: str
    input_digest: str | None
    rows_in: int
    kept: int
    dropped: Mapping[str, int]
    failed: Mapping[str, int]
    digests: Mapping[str, str]
    seconds: float

    @property
    def failed_share(self) -> float:
        """Which share of the rows failed."""
        return sum(self.failed.values()) / max(self.rows_in, 1)


_ADAPTER: Final = TypeAdapter(Manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it beside the stage's files."""
    write_atomically(folder / NAME, json.dumps(asdict(manifest), indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in a stage's folder; None if the stage has not been run.

    Raises:
        CurationError: It is broken, or of another version.
    """
    path = folder / NAME
    try:
        manifest = _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise CurationError(f"{path}: is broken; remove its folder, and the stage runs again") from None
    if manifest.promedical_curation != VERSION:
        raise CurationError(f"{path}: has format {manifest.promedical_curation}; this version reads {VERSION}")
    return manifest


def chained(fingerprint: Mapping[str, str], before: str) -> str:
    """The digest of a stage's fingerprint and of the chain before it."""
    return digest(canonical_json([dict(fingerprint), before]))[:16]


def counts(manifest: Manifest) -> str:
    """What became of a stage's rows, in words."""
    dropped, failed = _listed(manifest.dropped), _listed(manifest.failed)
    return f"{manifest.rows_in:,} in, {manifest.kept:,} kept; dropped: {dropped}; failed: {failed}"


def _listed(some: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in some.items()) or "none"
