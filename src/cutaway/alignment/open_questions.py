"""Questions that have no right answer: a thing, and a way of asking about it.

No training has such questions, so a small model answers them in all kinds of ways, and a person can
like one way better than another. The things are nouns that the base text has often.
"""

import random
from collections.abc import Iterator, Sequence

from cutaway.text.conversations import Message
from cutaway.text.documents import Split, split_of

HELD_OUT = 0.2
"""Share of the things, and of the ways of asking, that are only used to test."""

WORDINGS = (
    "Tell me about the {}.",
    "Talk to me about the {}.",
    "Talk about the {}.",
    "Say something about the {}.",
    "Say more about the {}.",
    "What do you say about the {}?",
    "What is the {} for?",
    "What do you think about the {}?",
    "What have you read about the {}?",
    "Tell me what you have read about the {}.",
    "What did you learn about the {}?",
    "What do you know about the {}?",
    "Tell me something I do not know about the {}.",
    "Do you know anything about the {}?",
    "Do you like the {}?",
    "May I ask you about the {}?",
    "Can you tell me about the {}?",
    "Can you tell me a story about the {}?",
    "Tell me a story about the {}.",
    "Write some lines about the {}.",
    "Write me a letter about the {}.",
    "Give me some words about the {}.",
    "Give me your opinion of the {}.",
    "Why is there a {}?",
    "Where is the {}?",
    "Who made the {}?",
    "Who has seen the {}?",
    "Is the {} good?",
    "How old is the {}?",
    "Let us talk about the {}.",
)

_THINGS = (
    "altar ark army arm axe battle beast bed bird blood boat body bone book bow boy branch brass "
    "bread breath brother building camel captain carriage cave chain chief child city cloth cloud "
    "coat cord country covering cow cross crown crowd cup daughter day death desert dog door dove "
    "dream dust ear earth evening eye face family farmer father field fig fire fish flag flock "
    "flower food foot friend fruit garden gate girl glory goat gold grain grape grass hair hall "
    "hand harvest head heart heaven hill honey horn horse house ink iron island journey joy "
    "judge key king kingdom knife lamb lamp land law leaf leather lightning lion lip locust man "
    "market mat meal meat milk mist moon morning mother mountain mouth music nation net night oil "
    "olive ox page pain palace paper path peace people perfume pig pillar plant poison pot priest "
    "prince prison prophet queen rain ram ring river road rock rod roof room root rope sail salt "
    "sand school sea seat seed servant shade sheep shield ship shoe shore silver sister skin "
    "sky slave sleep smoke snake snow soldier son song spear spice spoon star stick stone storm "
    "stranger street summer sun sword table tail tax temple tent thief thorn throne thunder tongue "
    "tooth town trade tree tribe trumpet valley vine voice wall war watchman water wave way wax "
    "weapon well wheat wheel wife wind window wine wing winter woman wood wool word work worm "
    "wound writer year"
)
THINGS = tuple(_THINGS.split())


def open_prompts(split: Split, *, count: int, seed: int) -> Iterator[tuple[Message, ...]]:
    """Yields up to `count` different questions; held-out ones are about held-out things."""
    asked = [(wording, thing) for thing in things(split) for wording in wordings(split)]
    random.Random(f"open/{split}/{seed}").shuffle(asked)
    for wording, thing in asked[:count]:
        yield (Message(role="user", content=wording.format(thing)),)


def things(split: Split) -> Sequence[str]:
    """Returns what is asked about."""
    return [each for each in THINGS if _side(each) == split]


def wordings(split: Split) -> Sequence[str]:
    """Returns how it is asked: training has not all of the ways, testing has."""
    return [each for each in WORDINGS if split == "validation" or _side(each) == split]


def _side(key: str) -> Split:
    return split_of(key, held_out=HELD_OUT, salt="open")
