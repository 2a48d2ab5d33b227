"""The settings of a process, and what is told of them."""
