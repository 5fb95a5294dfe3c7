"""How a recipe is read, for every kind of model: YAML into frozen settings. Unknown names are errors."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

import yaml
from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from promedical_data.faults import first_fault
from promedical_data.files import is_draft, write_atomically
from promedical_data.plain_yaml import RepeatedKeyError, read_plain_yaml

T = TypeVar("T")

Precision = Literal["fp32", "bf16"]

_FOLDER: Final = files("promedical_trainer") / "recipes"
_RECIPE: Final = "recipe.yaml"
_LOCK: Final = ".lock"


class RecipeError(Exception):
    """A recipe cannot be used. The message names the field, what was expected and what to do."""


def check_counts(settings: object, *names: str, least: int = 1) -> None:
    """Check that these settings are large enough.

    Raises:
        ValueError: A setting is below `least`.
    """
    for name in names:
        if getattr(settings, name) < least:
            raise ValueError(f"{name} is {getattr(settings, name)}: expected at least {least}")


def check_amounts(settings: object, *names: str) -> None:
    """Check that these settings are finite numbers, 0 or more.

    Raises:
        ValueError: A setting is not.
    """
    for name in names:
        if not 0 <= getattr(settings, name) < math.inf:
            raise ValueError(f"{name} is {getattr(settings, name)}: expected a finite number, 0 or more")


class RecipeBook(Generic[T]):
    """The recipes of one kind: the built-in ones, whose names begin with it, and files of the user.

    Args:
        kind: The kind of model, such as "rm".
        settings: The frozen dataclass that a recipe fills.
    """

    def __init__(self, kind: str, settings: type[T]) -> None:
        self._kind = kind
        self._settings = settings
        self._adapter: TypeAdapter[T] = TypeAdapter(settings)

    @property
    def names(self) -> list[str]:
        """Names of the recipes that come with the package."""
        names = (each.name.removesuffix(".yaml") for each in _FOLDER.iterdir() if each.name.endswith(".yaml"))
        return sorted(name for name in names if name.startswith(f"{self._kind}-"))

    def load(self, name: str, overrides: Sequence[str] = ()) -> T:
        """A built-in recipe by name or a file by path, with overrides such as "optimisation.epochs=1".

        Raises:
            RecipeError: No such recipe, not YAML, or a field is wrong.
        """
        tree = self._read(name)
        for override in overrides:
            _apply(tree, override)
        try:
            return self._adapter.validate_python(tree)
        except ValidationError as error:
            raise RecipeError(f"recipe {name}: {first_fault(error, self._settings)}") from error

    def dump(self, recipe: T) -> str:
        """The recipe as YAML, with every default written out."""
        return yaml.safe_dump(self._adapter.dump_python(recipe, mode="json"), sort_keys=False, allow_unicode=True)

    @contextmanager
    def claimed(self, folder: Path, recipe: T) -> Iterator[None]:
        """A folder that is this recipe's run, new or resumed, while no other process works in it.

        Raises:
            RecipeError: The folder holds something else, or another process works in it.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"{folder}: cannot be made a folder ({error.strerror}); give another --output") from error
        try:
            with FileLock(folder / _LOCK, timeout=0):
                self._claim(folder, recipe)
                yield
        except Timeout:
            message = f"{folder}: another process trains in it; wait until it ends, or give another --output"
            raise RecipeError(message) from None

    def check(self, folder: Path, recipe: T) -> None:
        """Look whether a folder can be this recipe's run, and leave it as it is: its inputs are still to be read.

        Raises:
            RecipeError: The folder holds something else.
        """
        path = folder / _RECIPE
        try:
            is_run, is_folder = path.is_file(), folder.is_dir()
            if is_run and path.read_text(encoding="utf-8") != self.dump(recipe):
                raise RecipeError(f"{folder}: holds a run of another recipe; give another --output, or remove it")
            if folder.exists() and not is_folder:
                raise RecipeError(f"{folder}: is a file; give a folder as --output")
            if is_folder and not is_run and any(each.name != _LOCK and not is_draft(each) for each in folder.iterdir()):
                raise RecipeError(f"{folder}: is not empty and holds no run; give another --output")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{folder}: cannot be looked at ({error}); give another --output") from error

    def _claim(self, folder: Path, recipe: T) -> None:
        self.check(folder, recipe)
        if not (folder / _RECIPE).is_file():
            write_atomically(folder / _RECIPE, self.dump(recipe))

    def _read(self, name: str) -> dict[str, Any]:
        path = Path(name)
        source = path if path.suffix in {".yaml", ".yml"} else _FOLDER / f"{name}.yaml"
        try:
            text = source.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise RecipeError(f"recipe {name}: {self._unread(name, error, is_path=source is path)}") from error
        try:
            tree = read_plain_yaml(text)
        except RepeatedKeyError as error:
            raise RecipeError(f"recipe {name}: {error}") from error
        except (yaml.YAMLError, RecursionError) as error:
            raise RecipeError(f"recipe {name}: is not YAML: {error}") from error
        if not isinstance(tree, dict):
            raise RecipeError(f"recipe {name}: expected a mapping of settings")
        return tree

    def _unread(self, name: str, error: Exception, *, is_path: bool) -> str:
        """Why there is no text, and what to give instead."""
        if is_path:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            return (
                f"cannot be read: {reason}; give the path to a .yaml file in UTF-8, or one of {', '.join(self.names)}"
            )
        near = get_close_matches(name, self.names, n=1)
        hint = f"; did you mean {near[0]}? The recipes are" if near else "; expected one of"
        return f"is unknown{hint} {', '.join(self.names)}; or give the path to a .yaml file"


def _apply(tree: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    *parents, last = path.split(".")
    if not equals or not last:
        raise RecipeError(f"override {override!r}: expected name=value, such as optimisation.epochs=1")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise RecipeError(f"override {override!r}: {parent} is not a section")
        tree = child
    try:
        tree[last] = read_plain_yaml(text)
    except RepeatedKeyError as error:
        raise RecipeError(f"override {override!r}: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"override {override!r}: {text!r} is not YAML; give a number, a word or a [list]") from error
