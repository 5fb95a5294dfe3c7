"""The reward model: labelled data to criterion-level pairs, tree-packed training, calibration, a bundle."""
