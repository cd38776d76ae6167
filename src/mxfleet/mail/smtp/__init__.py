"""SMTP and LMTP as sans-IO engines."""
