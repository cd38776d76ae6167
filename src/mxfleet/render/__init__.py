"""Fleet and templates to files, as values."""
