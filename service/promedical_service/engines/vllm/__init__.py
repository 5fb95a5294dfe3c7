"""vLLM as an engine, in a thread of its own."""
