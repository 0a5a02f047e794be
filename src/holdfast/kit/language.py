"""The reader's language: English in the code, others in gettext catalogues.

Faces call `text` on the English template before they fill it. Nothing that is stored is translated.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gettext

ENGLISH = "en"
CHINESE = "zh_CN"
DOMAIN = "holdfast"
FOLDER = Path(__file__).resolve().parent.parent / "locale"
VARIABLES = ("HOLDFAST_LANG", "LC_ALL", "LC_MESSAGES", "LANG")

_lock = threading.Lock()
_chosen: str | None = None


def choose(environ: Mapping[str, str]) -> str:
    """The language that the first variable which is set asks for; English for unknown ones."""
    for name in VARIABLES:
        if wish := environ.get(name, "").strip():
            return CHINESE if wish.lower().startswith("zh") else ENGLISH
    return ENGLISH


def use(language: str | None) -> None:
    """Speak `language` from now on, in the whole process; None: as the environment says."""
    global _chosen  # noqa: PLW0603 - one language for the process, chosen by the face
    with _lock:
        _chosen = language


def current() -> str:
    return _chosen or choose(os.environ)


def text(message: str) -> str:
    """`message` in the current language; itself where there is no translation."""
    return translate(message, current())


def mark(message: str) -> str:
    """Says that `message` is given to `text` elsewhere, so that it is collected for translation."""
    return message


def translate(message: str, language: str) -> str:
    if language == ENGLISH or not message:
        return message
    return _catalogue(language).gettext(message)


@functools.cache
def _catalogue(language: str) -> gettext.NullTranslations:
    import gettext  # noqa: PLC0415 - 18 ms that an English reader need not pay

    return gettext.translation(DOMAIN, FOLDER, languages=[language], fallback=True)
