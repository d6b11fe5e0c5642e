"""Tests on a real sound server with a virtual sound card."""
