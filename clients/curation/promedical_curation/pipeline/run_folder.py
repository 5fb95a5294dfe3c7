"""The folder of a run: which line of stages it holds, what each has written, and what is out of date.

A stage's files appear complete or not at all. What a killed stage had asked is in the response store, so it starts
again from there at no cost; no other state has to be resumed.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from promedical_curation.asking.database import address_of, sqlite_url
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.manifest import Manifest, chained, read_manifest
from promedical_curation.pipeline.row_files import ROWS, RowFile
from promedical_curation.pipeline.stages import Stage, fingerprint
from promedical_data.files import is_draft, sha256_of, write_atomically

NAME: Final = "run.json"
VERSION: Final = 1
_LOCK: Final = ".lock"
_STORE: Final = "answers.sqlite"
_OWN: Final = {NAME, _LOCK, "stages"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """What a run is, as its folder says.

    Attributes:
        promedical_curation: The version of this format.
        id: The run's name in the response store.
        store: The response store, without a password; None for the file in the run's folder.
        stages: The stages in their order, each with its fingerprint.
        recipe: What the run was made from, as plain JSON; empty for stages that were put together otherwise.
    """

    promedical_curation: int = VERSION
    id: str
    store: str | None
    stages: Mapping[str, Mapping[str, str]]
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a stage stands.

    Attributes:
        stage: The stage's name.
        manifest: What it wrote last; None if it was never run.
        why: Why it has to run; None if it is up to date.
    """

    stage: str
    manifest: Manifest | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A run's folder, for a line of stages. `store` is the address of the response store."""

    path: Path
    id: str
    store: str
    stages: Sequence[Stage]
    fingerprints: Mapping[str, Mapping[str, str]]

    def folder(self, stage: str) -> Path:
        """Where a stage's files are."""
        return self.path / "stages" / stage

    def rows(self, stage: str) -> RowFile:
        """The rows that a stage kept.

        Raises:
            CurationError: They are not what the stage wrote.
        """
        manifest, path = read_manifest(self.folder(stage)), self.folder(stage) / ROWS
        if manifest is None or not path.is_file():
            raise CurationError(f"{self.folder(stage)}: stage {stage} has not been run; run it first")
        if sha256_of(path) != manifest.digests[ROWS]:
            raise CurationError(
                f"{path}: is not the file that stage {stage} wrote; run it again with --stage {stage} --again"
            )
        return RowFile(path)

    def input_of(self, stage: str) -> RowFile:
        """The rows that come to a stage.

        Raises:
            CurationError: The stage before it is out of date, or there is none.
        """
        names = [each.name for each in self.stages]
        before = names[names.index(stage) - 1] if stage in names[1:] else None
        if before is None:
            raise CurationError(f"stage {stage}: no rows come to it; expected one of {', '.join(names[1:])}")
        state = self.states()[names.index(before)]
        if state.why:
            raise CurationError(f"stage {stage} needs stage {before}, which is out of date ({state.why}); run it first")
        return self.rows(before)

    def states(self) -> list[State]:
        """How each stage stands."""
        return states(self.path, self.fingerprints)

    def chain(self, stage: str) -> str:
        """The digest of all fingerprints up to a stage."""
        chain = ""
        for name, parts in self.fingerprints.items():
            chain = chained(parts, chain)
            if name == stage:
                break
        return chain


def states(path: Path, fingerprints: Mapping[str, Mapping[str, str]]) -> list[State]:
    """How each stage of a run stands, given what its outcomes depend on now."""
    found, chain, stale, digest = list[State](), "", None, None
    for name, parts in fingerprints.items():
        chain = chained(parts, chain)
        manifest = read_manifest(path / "stages" / name)
        why = _why(manifest, parts, chain, digest)
        if why is None and stale is not None:
            why = f"{stale} has to run first"
        found.append(State(stage=name, manifest=manifest, why=why))
        stale = name if why else stale
        digest = manifest.digests[ROWS] if manifest else None
    return found


def _why(manifest: Manifest | None, parts: Mapping[str, str], chain: str, digest: str | None) -> str | None:
    if manifest is None:
        return "it has not been run"
    if changes := list(differences(manifest.fingerprint, parts)):
        return "; ".join(changes)
    if manifest.chain != chain:
        return "a stage before it has changed"
    if manifest.input_digest != digest:
        return "the rows that come in have changed"
    return None


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """In words, what differs between two fingerprints."""
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name, 'absent')} and is now {now.get(name, 'absent')}"


@contextmanager
def open_run(
    path: Path,
    stages: Sequence[Stage],
    *,
    store: str | None = None,
    accept_changes: bool = False,
    recipe: Mapping[str, Any] | None = None,
) -> Iterator[RunFolder]:
    """A new run's folder, or that of a run with the same stages, while no other process works in it.

    Args:
        path: The folder; it is made.
        stages: The line of stages.
        store: The address of the response store; None for a file in the folder.
        accept_changes: Whether stages may differ from those of the run. What has changed, and what comes after it, is
            then out of date.
        recipe: What the stages were made from, as plain JSON.

    Raises:
        CurationError: The folder holds something else, a run of other stages, or another process works in it.
    """
    prints = {stage.name: fingerprint(stage) for stage in stages}
    if len(prints) != len(stages):
        raise CurationError("two stages have the same name; give each stage a name of its own")
    address = None if store is None else address_of(store)
    wished = RunFile(id=uuid.uuid4().hex[:12], store=address, stages=prints, recipe=recipe or {})
    with locked(path):
        found = _claimed(path, wished, accept_changes=accept_changes)
        yield RunFolder(path=path, id=found.id, store=store_of(path, found, store), stages=stages, fingerprints=prints)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A run's folder, which is made if it is not there, while no other process works in it.

    Raises:
        CurationError: Another process works in it, or it cannot be written.
    """
    lock = FileLock(path / _LOCK, timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise CurationError(
            f"{path}: another process works in it; wait until it ends, or name another folder"
        ) from None
    except OSError as error:
        raise CurationError(f"{path}: cannot be written: {error.strerror}; name another folder") from None
    with lock:
        yield


def expect(path: Path, changes: Mapping[str, Mapping[str, str]]) -> None:
    """Change parts of the fingerprints that a run's stages have, so that these stages are out of date.

    Args:
        path: The folder, which is this process's own.
        changes: By stage, parts by name; stages that the run does not have are left out.

    Raises:
        CurationError: The folder holds no run.
    """
    found = read_run(path)
    stages = {name: {**parts, **changes.get(name, {})} for name, parts in found.stages.items()}
    _written(path, replace(found, stages=stages))


def store_of(path: Path, found: RunFile, store: str | None) -> str:
    """The address of a run's response store, given what the user says about it.

    Raises:
        CurationError: The run's store is not in its folder, and the user does not say where it is.
    """
    if store is None and found.store is not None:
        raise CurationError(f"{path}: its response store is {found.store}; name it by --store")
    return store or sqlite_url((path / _STORE).absolute())


def read_run(path: Path) -> RunFile:
    """What a run's folder says about it.

    Raises:
        CurationError: It holds no run.
    """
    file = path / NAME
    try:
        found = _ADAPTER.validate_json(file.read_bytes())
    except FileNotFoundError:
        raise CurationError(f"{path}: holds no run of promedical-curate; name the folder that run wrote") from None
    except (OSError, ValidationError):
        raise CurationError(f"{file}: is broken; name another folder") from None
    if found.promedical_curation != VERSION:
        raise CurationError(f"{file}: has format {found.promedical_curation}; this version reads {VERSION}")
    return found


def _claimed(path: Path, wished: RunFile, *, accept_changes: bool) -> RunFile:
    """The run in a folder, which is now the wished one."""
    if not (path / NAME).is_file():
        if any(each.name not in _OWN and not is_draft(each) for each in path.iterdir()):
            raise CurationError(f"{path}: is not empty and holds no run; name another folder")
        return _written(path, wished)
    found = read_run(path)
    changes = list(_changes(found, wished))
    if changes and not accept_changes:
        listed = "\n  ".join(changes)
        raise CurationError(
            f"{path}: holds another run:\n  {listed}\nName another folder, or give --accept-changes: then what has "
            "changed, and all stages after it, run again. What the store has answers to is not asked again."
        )
    return _written(path, replace(wished, id=found.id)) if changes else found


def _written(path: Path, run: RunFile) -> RunFile:
    write_atomically(path / NAME, json.dumps(asdict(run), indent=1) + "\n")
    return run


def _changes(before: RunFile, now: RunFile) -> Iterator[str]:
    if before.store != now.store:
        yield f"store was {before.store or _STORE} and is now {now.store or _STORE}"
    yield from (f"recipe: {each}" for each in differences(_flat(before.recipe), _flat(now.recipe)))
    if list(before.stages) != list(now.stages):
        yield f"stages were {', '.join(before.stages)} and are now {', '.join(now.stages)}"
    for name, parts in now.stages.items():
        yield from (f"{name}: {each}" for each in differences(before.stages.get(name, parts), parts))


def _flat(tree: Any, name: str = "") -> dict[str, str]:
    """The values of a tree by their dotted names."""
    if not isinstance(tree, dict | list) or not tree:
        return {name: json.dumps(tree)} if name else {}
    named = tree.items() if isinstance(tree, dict) else enumerate(tree, start=1)
    parts = [_flat(each, f"{name}.{key}" if name else str(key)) for key, each in named]
    return {key: value for part in parts for key, value in part.items()}


_ADAPTER: Final = TypeAdapter(RunFile)
