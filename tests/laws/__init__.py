"""What holds of the whole house: its laws, its floor plan, its vocabulary, and naive twins of the engine's kernels.

1 chunking is invisible: test_chunking · 2 the future cannot change the past: test_causality · 3 memory is bounded and
4 no aliasing: test_memory · 5 live is file: tests/live · 6 a checkpoint is invisible: test_checkpoints · 7 hostile
sound is sound: test_hostile_sound · 8 naive twins, slow and obvious versions of the kernels: test_twin_*, naive_* ·
9 an input is never an output: test_input_is_never_output
"""
