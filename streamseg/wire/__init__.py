"""The contract: event types, envelope, protocol messages, schemas, token proof, topic filters. No I/O."""
