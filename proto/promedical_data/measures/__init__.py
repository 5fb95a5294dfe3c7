"""How good predictions are: pairs, violations, agreement and calibration, beside controls, with intervals."""
