"""Texts: simple ones first, then what trips code that handles text."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["long_texts", "texts"]

_ODD = (
    "  ",
    "line\nline",
    "a\tb",
    "0",
    "None",
    "O'Brien",
    '"quoted"',
    "50% {off} ${x} \\n",
    "<b>bold</b> & more",
    "**bold** `code` [link](x)",
    "1,000.50",
    "caf\u00e9",  # one letter, and the same of two code points
    "cafe\u0301",
    "\u5317\u4eac",
    "\u0645\u0631\u062d\u0628\u0627",  # from right to left
    "stra\u00dfe",  # longer in capitals
    "\u0130stanbul",  # longer in small letters
    "\U0001f469\u200d\U0001f467",  # one glyph of three code points
    "zero\u200bwidth\u00a0spaces",
    "\ufeffmark",
    "nul\x00byte",
)


def texts(simple: tuple[str, ...] = ("a",)) -> st.SearchStrategy[str]:
    """Draw texts that are not empty, and shrink towards the first of the `simple` ones."""
    return st.sampled_from(simple) | st.sampled_from(_ODD) | st.text(min_size=1, max_size=30)


def long_texts() -> st.SearchStrategy[str]:
    """Draw texts of some thousand characters, in words and without a space to break them at."""
    return st.builds(
        lambda piece, times: piece * times,
        st.sampled_from(("a ", "a", "Well, well. ", "\U0001f469\u200d\U0001f467")),
        st.sampled_from((1_000, 5_000)),
    )
