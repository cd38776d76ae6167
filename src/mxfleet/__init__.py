"""mxfleet: infrastructure as code for a clustered SMTP exchange."""

__version__ = "0.1.0"
