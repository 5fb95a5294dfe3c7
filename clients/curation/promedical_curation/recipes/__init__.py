"""Recipes: what a whole run is, from its sources to its pairs, in one file."""
