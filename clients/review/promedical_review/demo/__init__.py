"""A round of example rubrics and users of every role, to try the app with."""
