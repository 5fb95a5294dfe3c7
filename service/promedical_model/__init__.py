"""The reward model: bundle on disk, prompt rendering, token tree, tree attention, calibration. Knows no service."""
