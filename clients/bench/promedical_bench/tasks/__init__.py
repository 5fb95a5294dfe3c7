"""The tasks of the bench: each a file that reads the publisher's format, yields cases and judges answers."""
