"""The reward model: labelled data to criterion-level pairs, tree-packed training, calibration, a bundle."""

from typing import Final, Literal, get_args

Until = Literal["dev", "test", "controls"]
"""The last part of an evaluation: the dev split, the test split, or the base as a control on the test split."""

UNTIL: Final[tuple[Until, ...]] = get_args(Until)
