"""What every store must do, and what is true of one store only."""
