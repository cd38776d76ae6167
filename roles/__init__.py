"""pyinfra only: one module a role, each with the steps install, configure, activate."""

from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand

Commands = Generator[PyinfraCommand, None, None]
"""What an operation yields."""
