"""Tracing over real sockets."""
