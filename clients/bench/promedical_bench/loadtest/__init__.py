"""Load on a running service: traffic like a trainer's and like a product's, and what became of it."""
