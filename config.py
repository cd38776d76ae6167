"""pyinfra's settings for every run of this checkout."""

from pyinfra import config

config.REQUIRE_PYINFRA_VERSION = "~=3.10"
config.FAIL_PERCENT = 0  # one broken node stops the roll
config.SUDO = True
config.CONNECT_TIMEOUT = 5
