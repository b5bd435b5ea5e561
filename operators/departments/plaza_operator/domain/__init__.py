"""What a department is and what it must have: frozen dataclasses and pure functions."""
