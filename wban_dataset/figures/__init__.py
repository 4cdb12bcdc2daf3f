"""Pictures of recorded data; one file per kind."""
