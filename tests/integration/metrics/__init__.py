"""Metrics over real sockets."""
