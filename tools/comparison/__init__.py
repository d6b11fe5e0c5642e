"""Other programs on the same sound, scored the same way."""
