"""The front door's parts on their own."""
