"""What outlast tells the outside about itself: log lines, spans, and the context that joins them across processes."""
