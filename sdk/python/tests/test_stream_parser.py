"""The parser of event streams, by the examples and rules of WHATWG HTML 9.2."""

from __future__ import annotations

import pytest

from gatehouse_client._shared.sse import EventParser


def events_of(*chunks: bytes) -> list[tuple[str, str, str]]:
    """Name, data and last id of what the chunks bring."""
    parser = EventParser()
    return [(e.event, e.data, e.last_event_id) for chunk in chunks for e in parser.feed(chunk)]


EXAMPLES = {
    'several data lines': (b'data: YHOO\ndata: +2\ndata: 10\n\n', [('message', 'YHOO\n+2\n10', '')]),
    'comments, ids, an empty id': (
        b': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n',
        [('message', 'first event', '1'), ('message', 'second event', ''), ('message', ' third event', '')],
    ),
    'empty data, and no end': (
        b'data\n\ndata\ndata\n\ndata:',
        [('message', '', ''), ('message', '\n', '')],
    ),
    'one space counts for nothing': (b'data:test\n\ndata: test\n\n', [('message', 'test', '')] * 2),
    'CRLF': (b'event: a\r\ndata: 1\r\n\r\nevent: b\r\ndata: 2\r\n\r\n', [('a', '1', ''), ('b', '2', '')]),
    'CR': (b'event: a\rdata: 1\r\rdata: 2\r\r', [('a', '1', ''), ('message', '2', '')]),
    'mixed line ends': (b'data: 1\r\ndata: 2\rdata: 3\n\r\n', [('message', '1\n2\n3', '')]),
    'a BOM, once': (b'\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n', [('message', '1', '')]),
    'an event without data': (b'event: nothing\nid: 5\n\ndata: 1\n\n', [('message', '1', '5')]),
    'an id with NUL': (b'id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n', [('message', 'a', '1'), ('message', 'b', '1')]),
    'unknown fields': (b'colour: red\nDATA: no\ndata: a: b\n\n', [('message', 'a: b', '')]),
    'characters of several bytes': ('data: żółć 🎉\n\n'.encode(), [('message', 'żółć 🎉', '')]),
    'no characters': (b'data: \xff\n\n', [('message', '\ufffd', '')]),
}


@pytest.mark.parametrize('stream, expected', EXAMPLES.values(), ids=EXAMPLES.keys())
def test_every_way_to_cut_it_gives_the_same(stream: bytes, expected: list[tuple[str, str, str]]) -> None:
    assert events_of(stream) == expected
    assert events_of(*(bytes([byte]) for byte in stream)) == expected
    for cut in range(len(stream) + 1):
        assert events_of(stream[:cut], stream[cut:]) == expected


def test_retry_is_digits_and_is_kept() -> None:
    parser = EventParser()
    assert parser.retry is None
    parser.feed(b'retry: 2000\n\n')
    assert parser.retry == 2000
    for bad in (b'retry: 2s\n', b'retry: -1\n', b'retry:\n', 'retry: ٣\n'.encode()):
        parser.feed(bad)
    assert parser.retry == 2000


def test_a_field_that_is_cut_off_at_the_end_is_no_event() -> None:
    assert events_of(b'data: 1\n') == []
