"""Characters that a person does not see and a model reads: what hides instructions in output, names and labels (pure).

Control characters (but tab and new line), bidirectional controls, zero-width characters, fillers, variation selectors,
tag characters. Left out of whatever is shown; a new line stands for the two line breaks that only Unicode has.
"""

from __future__ import annotations

import re

AFTER_BACKSPACE = (
    "\x0b-\x1f\x7f-\x9f"  # C0 except tab and new line (the first nine are apart), DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
UNSEEN = f"\x00-\x08{AFTER_BACKSPACE}"
_HIDDEN = re.compile(f"[{UNSEEN}]")
_BREAK = re.compile("[\u2028\u2029]")
# A lone selector or joiner after an emoji is how emoji are written, and says nothing.
_TELLING = re.compile(f"(?![\ufe0e\ufe0f\u200d\x00-\x7f])[{UNSEEN}]|(?<=[\ufe00-\ufe0f\u200d])[\ufe0e\ufe0f\u200d]")


def seen(text: str) -> str:
    """The text without what a person does not see."""
    return text if text.isascii() and text.isprintable() else _BREAK.sub("\n", _HIDDEN.sub("", text))


def printable(text: str) -> str:
    """The text as one line that a terminal only shows: as `seen`, with a blank for each control character."""
    if text.isascii() and text.isprintable():
        return text
    return seen("".join(c if c.isprintable() else " " for c in text))


def hidden_in(text: str) -> int:
    """How many characters beyond ASCII are in it that a person does not see, but for those of plain emoji."""
    return 0 if text.isascii() else len(_TELLING.findall(text))
