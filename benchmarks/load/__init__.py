"""What loads a server under measurement, each in a process of its own, so that its work is not the server's."""
