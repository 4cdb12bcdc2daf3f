"""A recorded session: streams, time, journal, file. Shared with the recorder on the Pi."""
