"""What a user asks for: settings from flags or YAML become validated models."""
