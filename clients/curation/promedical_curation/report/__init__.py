"""The report of a run: what its stages did, as one HTML page."""
