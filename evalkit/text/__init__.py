"""How a value is written: numbers, Markdown, visible escapes."""
