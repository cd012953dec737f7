"""Run hosted Embed Workflow workflows from Django models."""

__version__ = "0.1.0"
