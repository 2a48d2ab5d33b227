"""Who may call the session host, decided by what a request shows."""
