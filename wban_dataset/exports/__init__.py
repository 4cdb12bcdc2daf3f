"""Sessions and windows in other people's formats."""
