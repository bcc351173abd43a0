"""The parts put together as the papers draw them."""
