"""Arrays and records in, pictures out. No model is imported here."""
