"""The system on one page: which roles, in which order."""
