"""Other people's recordings, made into sessions."""
