"""Cases to the service, and its answers into a file that survives a kill."""
