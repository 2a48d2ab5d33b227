"""The services of outlast: front door, task manager, stores; who owns durable state and sockets."""

import os

# gRPC's core writes plain text to stderr, between our lines, of what is no news: a fork, a peer that goes. It reads
# this when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Where the program forks (multiprocessing, up to Python 3.13), gRPC would start its threads anew in the child, and
# crash the child where connections of ours were at work. A program that calls gRPC in its children sets this to 1.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
