"""Raw material in, documents, conversations and images out."""
