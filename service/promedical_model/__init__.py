"""The reward model: bundle on disk, prompt rendering, token tree, tree attention, calibration. It knows no service."""
