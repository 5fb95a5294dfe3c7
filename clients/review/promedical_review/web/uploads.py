"""Files that coordinators send: who sends one is known before it is read, and it is checked whole."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from promedical_data.errors import DataError
from promedical_review.errors import InvalidError
from promedical_review.web.languages import Texts

T = TypeVar("T")

MAX_FILE_BYTES: Final = 64 << 20
"""The most that an imported file may have."""


async def read_upload(form: FormData, t: Texts, read: Callable[[Path], T]) -> T:
    """What a reader makes of the file of a form.

    Raises:
        InvalidError: There is none, or the reader refuses it; the message names the file as the user knows it.
    """
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        raise InvalidError(t("no_file"), "file")
    return await run_in_threadpool(_read, file.filename, await file.read(), read)


def download(content: bytes, name: str, media_type: str) -> Response:
    """A file to save."""
    safe = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in name)
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{safe}"'})


def _read(name: str, content: bytes, read: Callable[[Path], T]) -> T:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("file.jsonl.gz" if name.endswith(".gz") else "file.jsonl")
        path.write_bytes(content)
        try:
            return read(path)
        except DataError as error:
            raise InvalidError(str(error).replace(str(path), name)) from None
