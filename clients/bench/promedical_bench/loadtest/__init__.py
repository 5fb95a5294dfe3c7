"""Load on a running service: traffic like that of trainers and products, and how the service answers it."""
