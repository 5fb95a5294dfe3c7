"""Runs stages one after another in a run's folder, and knows which of them are out of date."""
