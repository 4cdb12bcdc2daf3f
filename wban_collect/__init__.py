"""The recorder on the Pi: chips, journal, session."""
