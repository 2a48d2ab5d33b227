"""What the composition root makes of the settings."""
