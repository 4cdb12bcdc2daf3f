"""What becomes of sessions once they are recorded: sealed, named, counted, removed."""
