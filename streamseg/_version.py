"""The version of the package. It is written only here and in the tag of a release."""

__version__ = "0.1.0"
