"""Parts of outlast over real sockets and a real store."""
