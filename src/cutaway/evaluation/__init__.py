"""Model in, numbers with error bars out."""
