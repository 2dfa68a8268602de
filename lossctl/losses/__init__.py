"""What a loss is, and every loss: NumPy and the standard library only."""
