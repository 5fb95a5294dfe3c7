"""The tables, by who may read them: see `bench_hidden`, which no rater's query touches."""
