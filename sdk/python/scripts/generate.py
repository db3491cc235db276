#!/usr/bin/env python3
"""Makes what is not written by hand: models.py from openapi.json, and _sync/ from _async/.

    python3 scripts/generate.py            writes the files
    python3 scripts/generate.py --check    says which are behind, and fails when one is
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate_models import models_of  # noqa: E402
from generate_sync import sync_of  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'src' / 'gatehouse_client'
DOCUMENT = ROOT.parent.parent / 'openapi.json'


def generated() -> dict[Path, str]:
    """The text of each generated file."""
    files = {PACKAGE / 'models.py': models_of(json.loads(DOCUMENT.read_text('utf-8')))}
    for source in sorted((PACKAGE / '_async').glob('*.py')):
        files[PACKAGE / '_sync' / source.name] = sync_of(source.read_text('utf-8'), source.name)
    return files


def behind(files: dict[Path, str]) -> list[Path]:
    """The files that are not what they should be, and those that should not be there."""
    stale = [path for path, text in files.items() if not path.exists() or path.read_text('utf-8') != text]
    return stale + [path for path in (PACKAGE / '_sync').glob('*.py') if path not in files]


def main(arguments: list[str]) -> int:
    """Writes, or checks."""
    files = generated()
    stale = behind(files)
    for path in stale:
        print(f'{path.relative_to(ROOT)} is behind' if '--check' in arguments else path.relative_to(ROOT))
    if '--check' in arguments:
        return 1 if stale else 0
    for path in stale:
        if path in files:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], 'utf-8')
        else:
            path.unlink()
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
