"""Sender Policy Framework (RFC 7208): records, macros, and check_host() as a generator of questions."""
