"""How one request reaches the service: over gRPC or over REST."""
