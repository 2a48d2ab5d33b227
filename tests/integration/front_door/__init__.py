"""The front door over real sockets."""
