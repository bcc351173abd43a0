"""HTTP in, streamed answers out."""
