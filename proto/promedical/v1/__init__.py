"""Version 1 of the wire: generated stubs, and the codec between them and `promedical.messages`."""
