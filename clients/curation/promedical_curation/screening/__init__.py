"""What no model needs to be asked about: rows that are dropped for a reason that can be seen in their text."""
