"""From tasks and answers to numbers with intervals. Nothing here asks a service or writes a file."""
