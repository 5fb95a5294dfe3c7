"""How much each part of the loss counts. Recipes hold it, and are read before torch is loaded."""

from dataclasses import dataclass, field

from promedical.rubric import Dimension
from promedical_trainer.rm.expansion import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """How much each part of the loss counts.

    Attributes:
        pairwise: The weight of the criterion-conditioned Bradley-Terry term.
        pointwise: The weight of the term that anchors the zero; small, since alone that term learns how often a
            criterion is met.
        center: Pulls pairs without labels towards zero (`center_rewards_coefficient` in TRL).
        dimensions: The weight of a pair by its criterion's dimension; a dimension that is absent has weight 1.
    """

    pairwise: float = 1.0
    pointwise: float = 0.2
    center: float = 0.01
    dimensions: dict[Dimension, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in (self.pairwise, self.pointwise, self.center, *self.dimensions.values()):
            if not 0 <= value < float("inf"):
                raise ValueError(f"loss weight {value}: expected a finite number of 0 or more")
        if not self.pairwise and not self.pointwise:
            raise ValueError("pairwise and pointwise weights are both 0; nothing would be learnt")

    def of(self, dimension: Dimension) -> float:
        """Weight of a pair of this dimension."""
        return self.dimensions.get(dimension, 1.0)

    def reads(self, group: Group) -> bool:
        """Whether any pair or label of the group weighs anything."""
        weights = (self.of(group.criteria[pair.criterion].dimension) for pair in group.pairs)
        return (self.pairwise > 0 and any(weights)) or (self.pointwise > 0 and any(group.labels()))
