"""Classification of the sound as speech, music and silence, each decided independently."""
