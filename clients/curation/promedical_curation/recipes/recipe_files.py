"""How a recipe is read: YAML, strictly. A name that is unknown is answered by the nearest."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from promedical_curation.errors import CurationError
from promedical_curation.recipes.recipe import Recipe
from promedical_data.plain_yaml import RepeatedKeyError, read_plain_yaml

_FOLDER: Final = files("promedical_curation") / "recipes"
_ADAPTER: Final = TypeAdapter(Recipe)
_ENDINGS: Final = {".yaml", ".yml"}


def built_in_recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(each.name.removesuffix(".yaml") for each in _FOLDER.iterdir() if each.name.endswith(".yaml"))


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A built-in recipe by its name, or a file by its path, with changes such as `difficulty.keep=6-9`.

    Raises:
        CurationError: There is none, it is not YAML, or a setting is wrong.
    """
    tree = _read(name)
    for change in changes:
        _apply(tree, change)
    return _recipe(f"recipe {name}", tree)


def folder_of(name: str) -> Path:
    """What a recipe's paths are relative to: its own folder; for a built-in one, the current folder."""
    path = Path(name)
    return path.parent if path.suffix in _ENDINGS else Path()


def tree_of(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain JSON, with every default written out."""
    return dict(json.loads(json.dumps(asdict(recipe))))


def recipe_of(tree: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that `tree_of` wrote.

    Raises:
        CurationError: It is none.
    """
    return _recipe(where, tree)


def _read(name: str) -> dict[str, Any]:
    path, known = Path(name), ", ".join(built_in_recipes())
    source = path if path.suffix in _ENDINGS else _FOLDER / f"{name}.yaml"
    try:
        tree = read_plain_yaml(source.read_text(encoding="utf-8"))
    except OSError:
        meant = _meant(name, built_in_recipes())
        expected = f"expected a path to a .yaml file, or one of {known}{meant}"
        raise CurationError(f"recipe {name}: cannot be read; {expected}") from None
    except UnicodeDecodeError:
        raise CurationError(f"recipe {name}: is not UTF-8; expected YAML") from None
    except (RepeatedKeyError, RecursionError) as error:
        raise CurationError(f"recipe {name}: {error}; correct it") from None
    except yaml.YAMLError as error:
        raise CurationError(f"recipe {name}: is not YAML: {_problem(error)}") from None
    if not isinstance(tree, dict):
        raise CurationError(f"recipe {name}: expected a mapping of settings, such as name and sources")
    return tree


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be parsed'}{where}"


def _apply(tree: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    *parents, last = path.strip().split(".")
    if not equals or not last:
        raise CurationError(f"--set {change}: expected NAME=VALUE, such as difficulty.keep=6-9")
    for parent in parents:
        tree = _section(tree, parent, change)
    try:
        tree[last] = read_plain_yaml(text)
    except (RepeatedKeyError, RecursionError, yaml.YAMLError):
        raise CurationError(f"--set {change}: {text} is not YAML; give a number, a word or a [list]") from None


def _section(tree: dict[str, Any], name: str, change: str) -> dict[str, Any]:
    if tree.get(name) is None:
        tree[name] = {}
    section = tree[name]
    if not isinstance(section, dict):
        raise CurationError(f"--set {change}: {name} is not a section of settings")
    return section


def _recipe(where: str, tree: Mapping[str, Any]) -> Recipe:
    try:
        return _ADAPTER.validate_json(json.dumps(tree, default=str, allow_nan=False))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        unknown = [tuple(each["loc"]) for each in problems if each["type"] == "unexpected_keyword_argument"]
        if unknown:  # said first: what is missing may be what is misspelt
            raise CurationError(f"{where}: {_unknown(unknown[0])}") from None
        place, said = problems[0]["loc"], problems[0]["msg"].removeprefix("Value error, ")
        named = ".".join(map(str, place))
        raise CurationError(f"{where}: {named}: {said}" if named else f"{where}: {said}") from None
    except (TypeError, ValueError, RecursionError) as error:  # a key that is a date, a number that is not finite
        raise CurationError(f"{where}: {error}; correct it") from None


def _unknown(place: tuple[int | str, ...]) -> str:
    known = _settings(place[:-1])
    meant = _meant(str(place[-1]), known)
    return f"{'.'.join(map(str, place))} is no setting of a recipe{meant}; there are {', '.join(known)}"


def _meant(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _settings(place: tuple[int | str, ...]) -> list[str]:
    """The names of the settings that stand at a place."""
    section: Any = Recipe
    for name in place:
        if not isinstance(name, int):
            section = next(_sections(get_type_hints(section)[name]))
    return [each.name for each in fields(section)]


def _sections(hint: Any) -> Iterator[Any]:
    if is_dataclass(hint):
        yield hint
    for part in get_args(hint):
        yield from _sections(part)
