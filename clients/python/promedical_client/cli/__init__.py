"""The command `promedical`."""
