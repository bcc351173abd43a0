"""All skills by name, in the order of the report."""

from typing import Any

from cutaway.text.skills.arithmetic import Addition, Subtraction
from cutaway.text.skills.base import Skill
from cutaway.text.skills.identity import Identity
from cutaway.text.skills.letters import Correcting, Counting, Reversing, Spelling
from cutaway.text.skills.names import Dates, Names
from cutaway.text.skills.sounds import Pronunciation, Rhymes
from cutaway.text.skills.system_prompt import SystemPrompt

SKILLS: dict[str, Skill[Any]] = {
    skill.name: skill
    for skill in (
        Dates(),
        Spelling(),
        Correcting(),
        Counting(),
        Reversing(),
        Addition(),
        Subtraction(),
        Pronunciation(),
        Rhymes(),
        Names(),
        Identity(),
        SystemPrompt(),
    )
}
"""The skills that the demo teaches and tests."""
