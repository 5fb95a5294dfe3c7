"""The tasks of the bench: each is a module that reads the publisher's format, makes cases and judges answers."""
