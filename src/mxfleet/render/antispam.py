"""The antispam role's files."""

SCANNER = "127.0.0.1:11333"
