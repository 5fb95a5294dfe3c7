"""Questions that are also in a test: found, dropped and listed, so that what is trained can still be measured."""
