"""The part of inference that is written in C++, and how it is compiled on first use."""
