"""One session (source, engine, stamped events) and a supervisor of many; stores of names and feedback."""
