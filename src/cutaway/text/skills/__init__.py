"""Instructions with checkable answers, made from real offline sources: one file per family."""
