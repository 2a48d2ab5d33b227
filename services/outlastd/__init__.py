"""The services of outlast: front door, task manager, stores; who owns durable state and sockets."""

import os

# gRPC's core writes plain text to stderr, between our lines, of what is no news: a fork, a peer that goes. It reads
# this when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
