"""How one request reaches the service: over gRPC or over REST."""

import os

# The core of gRPC writes lines of its own to standard error, such as about every failed handshake; what matters in
# them is in the errors. It reads this variable when it is loaded, and it keeps a value that is already there.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
