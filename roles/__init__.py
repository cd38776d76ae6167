"""pyinfra roles: one module a role, each with install, configure and activate."""
