"""The rubric that a command is about, from a file or from the service, and what its criteria cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from promedical import messages as m
from promedical.rubric import Dimension, Rubric

if TYPE_CHECKING:
    from promedical_client.sync import Client

_TINY: Final = "?"


def rubric_named(name: str, client: "Client") -> Rubric:
    """The rubric in this file, or the one that the service knows by this name.

    Raises:
        InputError: The file is no rubric, or there is neither a file nor a rubric of this name.
    """
    from promedical.rubric_files import RubricFileError, read_rubric  # noqa: PLC0415 - see `session.opened`
    from promedical_client.errors import NotFoundError  # noqa: PLC0415
    from promedical_client.jsonl import InputError  # noqa: PLC0415

    path = Path(name)
    try:
        if path.suffix in {".json", ".toml"} or path.is_file():
            return read_rubric(path).rubric
        info = client.rubric(name)
    except RubricFileError as error:
        raise InputError(str(error)) from None
    except NotFoundError:
        known = ", ".join(f"{each.id}@{each.version}" for each in client.rubrics())
        raise InputError(f"{name}: is no file, and no rubric of the service, which has {known}") from None
    criteria = tuple(criterion.validated() for criterion in info.criteria)
    return Rubric(criteria=criteria, id=info.id, version=info.version)


def spec_of(rubric: Rubric) -> m.RubricSpec:
    """The rubric as items carry it."""
    return m.RubricSpec(criteria=tuple(m.CriterionSpec.of(criterion) for criterion in rubric.criteria))


def criterion_tokens(client: "Client", rubric: Rubric) -> dict[str, int]:
    """How many tokens each criterion adds to every response.

    That is measured, because only the service has the tokenizer: a tree holds the prompt and the response once, so two
    trees with a criterion each have what all trees share once more than one tree with both.
    """
    first = rubric.criteria[0].text
    shared = 2 * _tokens(client, first) - _tokens(client, first, first)
    return {criterion.id: _tokens(client, criterion.text) - shared for criterion in rubric.criteria}


def _tokens(client: "Client", *texts: str) -> int:
    criteria = tuple(
        m.CriterionSpec(id=str(number), text=text, dimension=Dimension.EXCELLENCE) for number, text in enumerate(texts)
    )
    item = m.ScoreItem(id="cost", prompt=_TINY, responses=(_TINY,), rubric=m.RubricSpec(criteria=criteria))
    return client.score((item,)).usage.tokens_computed
