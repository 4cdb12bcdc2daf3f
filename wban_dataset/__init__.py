"""What a recorded session is, and everything that is done with it."""
