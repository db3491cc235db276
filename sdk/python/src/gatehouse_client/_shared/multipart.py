"""The frame of multipart/form-data around one file."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """What comes before and after the bytes of the file."""

    before: bytes
    after: bytes
    boundary: str

    def headers(self, size: int | None) -> dict[str, str]:
        """With the length, when the file has one: else the body is sent in chunks."""
        headers = {'Content-Type': f'multipart/form-data; boundary={self.boundary}'}
        if size is not None:
            headers['Content-Length'] = str(len(self.before) + size + len(self.after))
        return headers


def frame(name: str, content_type: str, description: str | None) -> Frame:
    """The description goes first: the server may judge the file while it comes."""
    if not re.fullmatch(r'[\w.+-]+/[\w.+-]+(\s*;[^\r\n]*)?', content_type):
        raise ValueError('content_type has to be like text/plain')
    boundary = uuid.uuid4().hex
    parts = ''
    if description is not None:
        parts += f'--{boundary}\r\nContent-Disposition: form-data; name="description"\r\n\r\n{description}\r\n'
    parts += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_escape(name)}"\r\n'
        f'Content-Type: {content_type}\r\n\r\n'
    )
    # os.listdir() gives half characters for bytes that are no text: the server takes only text.
    return Frame(parts.encode('utf-8', 'replace'), f'\r\n--{boundary}--\r\n'.encode(), boundary)


def _escape(name: str) -> str:
    """As browsers do it."""
    return name.replace('"', '%22').replace('\r', '%0D').replace('\n', '%0A')
