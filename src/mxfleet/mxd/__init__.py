"""The SMTP exchange service."""
