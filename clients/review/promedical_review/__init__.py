"""The review app: physicians look at rubrics, and rate answers double-blind.

It meets curation in the files of `promedical_data.rounds` and asks no model before a verdict is in.
"""
