"""The version of the package; the only place where it is written but for the tag of a release."""

__version__ = "0.1.0"
