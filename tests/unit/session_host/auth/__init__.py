"""Who may call the session host, by itself."""
