"""What is wrong with a signal: gravity that is not 1 g, not worn, clipped."""
