"""outlast: an open, self-hosted runtime for agents whose work outlasts the request."""

__version__ = "0.1.0"
