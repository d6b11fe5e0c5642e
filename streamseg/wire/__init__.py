"""The protocol: event types, envelope, messages, schemas, token proof, topics. No I/O."""
