"""What a run is: its recipe, its data, and the names of what it keeps in its folder."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from promedical_trainer.rm import Until
from promedical_trainer.rm.decoder_config import TINY
from promedical_trainer.rm.recipe import RmRecipe
from promedical_trainer.runs.progress import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A recipe, its data and the folder that it fills.

    Attributes:
        recipe: All settings.
        data: Folder that the recipe's file names are relative to.
        output: Folder of the run; a run of the same recipe that was interrupted there is resumed.
        console: Where progress is printed.
        deadline: When to stop; the same run can resume later.
        shrink: Train a tiny copy of the recipe's architecture, to test that everything else works.
        until: Last part of the evaluation. "dev" leaves the test split alone, "test" leaves out the base as a control,
            which takes as long as the model itself. The same run can do the rest later, and drops nothing.
    """

    recipe: RmRecipe
    data: Path
    output: Path
    console: Console
    deadline: Deadline = field(default_factory=Deadline)
    shrink: bool = False
    until: Until = "controls"

    @property
    def bundle(self) -> Path:
        """Folder of the bundle that the run writes."""
        return self.output / "bundle"

    @property
    def is_tiny(self) -> bool:
        """Whether the base is a tiny copy, which is made in the folder."""
        return self.shrink or self.recipe.base == TINY

    @property
    def base(self) -> str:
        """The base model, as a name or a folder."""
        return str(self.output / "base") if self.is_tiny else self.recipe.base

    @property
    def trained(self) -> RmRecipe:
        """The recipe on what is trained; a tiny copy has few layers, and an adapter takes them all."""
        adapter, recipe = self.recipe.adapter, self.recipe
        if adapter is not None and self.base != recipe.base:
            adapter = replace(adapter, layers=None)
        if self.shrink:
            recipe = replace(recipe, name=f"{recipe.name}-{TINY}", description=f"Tiny copy: {recipe.description}")
        return replace(recipe, base=self.base, adapter=adapter)

    @property
    def named(self) -> RmRecipe:
        """The recipe as the folder and the card name it: a tiny copy is no run of the model itself."""
        return replace(self.trained, base=f"{TINY} {self.recipe.base}") if self.shrink else self.recipe

    @property
    def checkpoints(self) -> Path:
        """Folder of the training stage's checkpoints."""
        return self.output / "checkpoints"

    @property
    def scores(self) -> Path:
        """Folder with the logits of every split."""
        return self.output / "scores"

    @property
    def evaluation(self) -> Path:
        """File with what was measured."""
        return self.output / "evaluation.json"

    @property
    def curve(self) -> Path:
        """File with what was measured on a little of dev while the model learnt."""
        return self.output / "curve.jsonl"
