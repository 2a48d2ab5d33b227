"""Async tasks: where they run, how they end, their handles."""
