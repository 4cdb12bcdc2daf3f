"""The command wban-collect, one file per group of commands."""
