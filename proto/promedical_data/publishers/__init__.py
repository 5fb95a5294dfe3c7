"""Files of others, read: one module per publisher says what its rows mean in the words of one of our formats."""
