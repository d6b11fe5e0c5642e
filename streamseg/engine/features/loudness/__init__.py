"""Measures loudness (ITU-R BS.1770), true peak and signal defects of all channels at the source's rate."""
