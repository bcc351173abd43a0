"""What all tests share: properties are searched from a fixed seed, and no test has a deadline."""

from hypothesis import settings

# A busy machine is no failure, and a failure that comes and goes with the seed is no law.
settings.register_profile("cutaway", deadline=None, derandomize=True)
settings.load_profile("cutaway")
