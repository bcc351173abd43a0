"""Room for requests: what is left of it, and what is spoken for before it is taken.

A place is spoken for when a request has arrived, and taken when its work is queued. In between the
request is read, which takes time: without a word for it, a whole burst would be let in and read
before the first of it has taken a place.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import final

from starlette.requests import Request

from cutaway.server.bodies import Scope

PLACE = "cutaway.place"
"""Where the scope of a request holds its place."""


class Room(ABC):
    """Where a bounded number of requests wait for what answers them."""

    @property
    @abstractmethod
    def left(self) -> int:
        """Places that nobody has taken."""


@final
class Place:
    """A place that a request speaks for, in each room that it may go to, until it goes there."""

    def __init__(self, rooms: Sequence[Room], spoken_for: Counter[Room]) -> None:
        self._rooms, self._spoken_for = rooms, spoken_for
        self._spoken_for.update(rooms)

    def leave(self) -> None:
        """It is taken, or it is not needed; said twice, the second time means nothing."""
        self._spoken_for.subtract(self._rooms)
        self._rooms = ()


@final
class Rooms:
    """The rooms behind the routes, and how much of them is spoken for."""

    def __init__(self, behind: Mapping[str, Sequence[Room]]) -> None:
        """`behind` has the path of a route with all rooms that its requests may go to."""
        self._behind = behind
        self._spoken_for: Counter[Room] = Counter()

    def lead_from(self, scope: Scope) -> bool:
        """Whether a request needs room at all."""
        return scope["method"] == "POST" and scope["path"] in self._behind

    def are_full(self, path: str) -> bool:
        """Whether there are rooms behind a route, and in none a place not taken or spoken for."""
        rooms = self._behind[path]
        return bool(rooms) and all(room.left <= self._spoken_for[room] for room in rooms)

    def speak_for(self, path: str) -> Place:
        """A place, which is to be left."""
        return Place(self._behind[path], self._spoken_for)


def leave_place(request: Request) -> None:
    """From here on a request is counted by the room that it goes to.

    To be said in the same turn of the event loop in which it asks there.
    """
    place: Place | None = request.scope.get(PLACE)
    if place is not None:
        place.leave()
