"""What runs in the process of a session, where outlast itself does not."""
