"""Plaza's own design language: tokens, components, page frame, translations."""
