"""A stage's config: a frozen dataclass filled from a recipe and `key=value`, and written back."""

from cutaway.settings.fields import field_documentation as field_documentation
from cutaway.settings.reading import load as load
from cutaway.settings.writing import differences as differences
from cutaway.settings.writing import dump as dump
