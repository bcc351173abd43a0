"""Text in, token ids out; only `chat.py` knows the role markers."""
