"""Who may call the session host, over real sockets."""
