"""Who did what when: spans, their algebra, exchange with other tools, agreement."""
