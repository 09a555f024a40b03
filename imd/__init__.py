"""imd: a self-hosted incident-management daemon. Alerts in, incidents decided, pages out."""

__version__ = "0.1.0"
