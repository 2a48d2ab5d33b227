"""Between domain and wire, and back."""
