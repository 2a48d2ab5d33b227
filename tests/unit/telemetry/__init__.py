"""Log lines, propagation and spans."""
