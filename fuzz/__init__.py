"""Fuzzing what hostile octets reach: engines, checks, parsers. `python -m fuzz --seconds 600` (docs/measured/fuzz.md)."""
