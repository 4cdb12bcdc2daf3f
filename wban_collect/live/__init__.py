"""Live data: what is published while a session is recorded, and who reads it."""
