"""The parts that learn; no file here knows a model."""
