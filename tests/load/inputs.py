"""Inputs that are nearly right: what is valid, with something in it changed, from a seed."""

import copy
import json
from random import Random
from typing import Any

NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400),
    *(0.0, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), 0.1),
    *("", " ", "0", "1", "true", "null", "toy", "\x00", "\ud800", "\ufdd0", "\u202e", "é" * 300),
    *("<|endoftext|>", "<|user|>", "<|system|>", "<|end|>", "{{7*7}}", "%s%n", "../../etc/passwd"),
    *("http://127.0.0.1:1/x", "file:///etc/passwd", "data:text/plain,x", "'; DROP TABLE x;--"),
    *("\x1b]52;c;aGk=\x07", "<script>alert(1)</script>", "=1+1", "a" * 5000),
    *([], {}, [[]], [{}], [None], {"": ""}, {"a": None}, [1, "1", 1.0], ["x"] * 50),
    *({"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "http://x/"}}),
    *({"role": "tool", "content": "x"}, {"__proto__": {"x": 1}}, {"$ref": "#"}),
)
"""Values that some program somewhere has fallen over."""

BYTES = (
    *(b"\x00", b"\xff", b"\r\n", b"\n", b" ", b"%", b"%00", b"%2e%2e/", b"..", b"\\", b'"', b"'"),
    *(b"{", b"}", b"[", b"]", b",", b":", b"//", b"?", b"#", b"\x1b[2J", b"\xed\xa0\x80", b"-1"),
    *(b"\r\n\r\n", b"Host: evil.test\r\n", b"Transfer-Encoding: chunked\r\n", b"{" * 40),
    b"9" * 50,
)
"""Pieces that end, begin or break something in what is read as bytes."""

Place = tuple[Any, Any]


def places(tree: Any) -> list[Place]:
    """Every place in a tree of JSON, as a container and a key of it."""
    found: list[Place] = []
    waiting = [tree]
    while waiting:
        here = waiting.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here))
        for key in keys:
            found.append((here, key))
            if isinstance(here[key], dict | list):
                waiting.append(here[key])
    return found


def changed_tree(tree: Any, *, random: Random) -> Any:
    """A tree with one to three of its places replaced, left out, doubled, renamed or wrapped."""
    root = [copy.deepcopy(tree)]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        here, key = random.choice(places(root))
        match random.randrange(6):
            case 0 | 1:
                here[key] = copy.deepcopy(random.choice(NASTY))
            case 2 if here is not root:
                del here[key]
            case 3:
                for _ in range(random.choice((1, 3, 70, 200))):
                    here[key] = [here[key]] if random.random() < 0.5 else {"a": here[key]}
            case 4 if isinstance(here, dict):
                here[str(random.choice(NASTY))[:40]] = here[key]
            case 5 if isinstance(here, list) and here is not root:
                here += [here[key]] * random.choice((1, 20))
            case _:
                here[key] = copy.deepcopy(random.choice(NASTY))
    return root[0]


def changed_bytes(data: bytes, *, random: Random) -> bytes:
    """Bytes with one to four changes: flipped, cut, doubled, or something put between."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(found) + 1)
        match random.randrange(5):
            case 0 if place < len(found):
                found[place] ^= 1 << random.randrange(8)
            case 1:
                del found[place : place + random.choice((1, 4, 40, 4000))]
            case 2:
                found[place:place] = found[place : place + 64] * random.choice((1, 5))
            case _:
                found[place:place] = random.choice(BYTES)
    return bytes(found)


def as_json(tree: Any) -> bytes:
    """A tree as it is sent: what is no JSON is written as Python does."""
    return json.dumps(tree, ensure_ascii=True).encode()
