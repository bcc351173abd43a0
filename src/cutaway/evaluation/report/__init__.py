"""Numbers and curves in, one page that explains them out, with a twin for machines."""
