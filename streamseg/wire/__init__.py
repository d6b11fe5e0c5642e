"""The protocol between server and clients: events, envelope, messages, topics, schemas, token proof. No I/O."""
