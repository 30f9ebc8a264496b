"""What a file is that should have been weights and is not."""

from __future__ import annotations

from pathlib import Path
import zipfile


def what_it_is(path: Path) -> str | None:
    """
    Recognise what often lies in the place of weights.

    :param path: a file that cannot be read as weights.
    :returns: what it is, in words that follow its name; None when that cannot be told.
    """
    try:
        with path.open('rb') as file:
            head = file.read(64)
    except OSError as error:
        return error.strerror
    if not head:
        return 'it is empty'
    if head.startswith(b'version https://git-lfs'):
        return "it is a Git LFS pointer, and 'git lfs pull' fetches the file itself"
    if head.lstrip().startswith(b'<'):
        return 'it is a web page'
    if head.startswith(b'PK'):
        return _what_zip(path)
    return None


def _what_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return 'it is cut short'
    if any(name.endswith('/data.pkl') for name in names):
        return 'it is damaged'
    return 'it is a zip archive of something else'
