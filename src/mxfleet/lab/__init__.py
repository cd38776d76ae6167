"""The Internet on one machine: real Debian hosts in their own network."""
