"""A health report written out: composed once of words and figures, then set as HTML or as PDF."""
