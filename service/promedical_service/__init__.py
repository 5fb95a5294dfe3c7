"""The scoring service: one Scorer behind gRPC and REST, batched for one accelerator."""
