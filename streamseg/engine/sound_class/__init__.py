"""Sound class: speech, music and silence, each for itself."""
