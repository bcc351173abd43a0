"""Folders of Hugging Face's `transformers`, both ways: configs, weights, tokenizers."""
