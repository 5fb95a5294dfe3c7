"""A reward model on disk: its manifest, its files, the cache of converted models."""
