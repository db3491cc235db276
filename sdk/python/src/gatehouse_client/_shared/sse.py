"""Server-Sent Events, by the rules of WHATWG HTML, section 9.2."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_LINE_END = re.compile(r'\r\n|\n|\r')
_BOM = '\ufeff'


@dataclass(frozen=True)
class ServerSentEvent:
    """One event, as it came.

    Attributes:
        event: Its name; `message` when none was given.
        last_event_id: The last id until then, of whichever event.
    """

    event: str
    data: str
    last_event_id: str


class EventParser:
    """Makes events of bytes, however they are cut. One for each connection."""

    def __init__(self) -> None:
        self.retry: int | None = None
        """Milliseconds before the next connection, if the server has said it."""
        self._decoder = codecs.getincrementaldecoder('utf-8')('replace')
        self._is_start = True
        self._ended_in_cr = False
        self._rest = ''
        self._event = ''
        self._data: list[str] = []
        self._last_event_id = ''

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete."""
        text = self._decoder.decode(chunk)
        if not text:
            return []
        if self._is_start:
            self._is_start = False
            text = text.removeprefix(_BOM)
        if self._ended_in_cr and text.startswith('\n'):
            # The other half of a line end.
            text = text[1:]
        self._ended_in_cr = text.endswith('\r')
        *lines, self._rest = _LINE_END.split(self._rest + text)
        events = []
        for line in lines:
            event = self._take(line)
            if event is not None:
                events.append(event)
        return events

    def _take(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        # A line that begins with a colon has the field '', which nobody knows: a comment.
        field, _, value = line.partition(':')
        value = value.removeprefix(' ')
        if field == 'event':
            self._event = value
        elif field == 'data':
            self._data.append(value)
        elif field == 'id' and '\0' not in value:
            self._last_event_id = value
        elif field == 'retry' and re.fullmatch('[0-9]{1,9}', value):
            self.retry = int(value)
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, self._data
        self._event, self._data = '', []
        if not data:
            return None
        return ServerSentEvent(event or 'message', '\n'.join(data), self._last_event_id)
