"""How a recipe is read, for every kind of model: YAML into frozen settings. Unknown names are errors."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

Precision = Literal["fp32", "bf16"]

_FOLDER: Final = files(__package__) / "recipes"
_RECIPE: Final = "recipe.yaml"


class RecipeError(Exception):
    """A recipe cannot be used. The message names the field, what was expected and what to do."""


class RecipeBook(Generic[T]):
    """The recipes of one kind: the built-in ones, whose names begin with it, and files of the user.

    Args:
        kind: Such as "rm".
        settings: The frozen dataclass that a recipe fills.
    """

    def __init__(self, kind: str, settings: type[T]) -> None:
        self._kind = kind
        self._adapter: TypeAdapter[T] = TypeAdapter(settings)

    @property
    def names(self) -> list[str]:
        """Of the recipes that come with the package."""
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
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, problem["loc"])) or "the recipe"
            raise RecipeError(f"recipe {name}: {where}: {problem['msg']}") from error

    def dump(self, recipe: T) -> str:
        """The recipe as YAML, with every default written out."""
        return yaml.safe_dump(self._adapter.dump_python(recipe, mode="json"), sort_keys=False, allow_unicode=True)

    def claim(self, folder: Path, recipe: T) -> None:
        """Make a folder this recipe's run, or see that it is.

        Raises:
            RecipeError: It holds something else.
        """
        path, text = folder / _RECIPE, self.dump(recipe)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"{folder}: cannot be made a folder ({error.strerror}); give another --output") from error
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise RecipeError(f"{folder}: holds a run of another recipe; give another --output, or remove it")
        if not path.is_file() and any(folder.iterdir()):
            raise RecipeError(f"{folder}: is not empty and holds no run; give another --output")
        path.write_text(text, encoding="utf-8")

    def _read(self, name: str) -> dict[str, Any]:
        path = Path(name)
        source = path if path.suffix in {".yaml", ".yml"} else _FOLDER / f"{name}.yaml"
        try:
            tree = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            known = ", ".join(self.names)
            raise RecipeError(
                f"recipe {name}: cannot be read; give a path to a .yaml file in UTF-8 or one of {known}"
            ) from error
        except yaml.YAMLError as error:
            raise RecipeError(f"recipe {name}: is not YAML: {error}") from error
        if not isinstance(tree, dict):
            raise RecipeError(f"recipe {name}: expected a mapping of settings")
        return tree


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
        tree[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"override {override!r}: {text!r} is not YAML; give a number, a word or a [list]") from error
