"""What the stores are made of that needs no database."""
