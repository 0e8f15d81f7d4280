"""Personal data out of a conversation: emails, phone numbers and card numbers, by clear rules.

What is taken out of one place is taken out of all, by the same replacement, so that a tool still
finds what it was told. A replacement has the shape of what it stands for: an email is one, a
phone number keeps its signs and its length, a card number its length, its first two digits and a
check digit that is right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Redaction"]

_EMAIL = r"(?<![\w.%+'-])[\w.%+'-]*[\w%+'-]@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,}"
_FIRST = r"(?<![\w.@+-])(?!\d\d?[./-]\d\d?[./-](?:19|20)\d\d\b)"  # not in a word, and no date
_LAST = r"(?![\w@]|[.,:-]\d)"
_CARD = rf"{_FIRST}\d(?:[ -]?\d){{12,18}}{_LAST}"
_PHONES = (
    r"(?:\+|00)\d(?:[ .()/-]{0,2}\d){6,14}",  # international
    r"\(?0(?:[ .()/-]{0,2}\d){8,12}",  # with the 0 before the area
    r"(?:1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-]?)[2-9]\d\d[ .-]?\d{4}",  # North American
    r"[2-9]\d\d[.-]\d{4}",  # North American, without the area
)
_PHONE = rf"{_FIRST}(?:{'|'.join(_PHONES)}){_LAST}"
_PERSONAL = re.compile(rf"(?P<email>{_EMAIL})|(?P<card>{_CARD})|(?P<phone>{_PHONE})")
_ONLY_PHONE = re.compile(_PHONE)
_FICTION = 5_550_100
"""Where the numbers begin that North America keeps for films and books: 555-0100."""

_CARD_LENGTHS = range(13, 20)


class Redaction:
    """Take personal data out of texts; a value met again gets the replacement that it has."""

    def __init__(self) -> None:
        self._emails: dict[str, str] = {}
        self._cards: dict[str, str] = {}
        self._phones: dict[str, str] = {}

    def text(self, text: str) -> str:
        """Return the text without personal data."""
        return _PERSONAL.sub(self._replacement, text)

    def value(self, value: Any) -> Any:
        """Return a JSON value without personal data, the keys of objects included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return int(self.text(str(value)))
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, Mapping):
            return {self.text(key): self.value(one) for key, one in value.items()}
        return value

    def json(self, text: str) -> str:
        """Return JSON without personal data; what is no JSON is a text."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.text(text)
        cleaned = self.value(value)
        return text if cleaned == value else json.dumps(cleaned, ensure_ascii=False)

    def _replacement(self, found: re.Match[str]) -> str:
        if found["email"]:
            made = f"person{len(self._emails) + 1}@mail.example"
            return self._emails.setdefault(found[0].casefold(), made)
        return self._phone(found) if found["phone"] else self._card(found[0])

    def _card(self, written: str) -> str:
        """Replace the card number in a row of digits, in which more than that may stand."""
        groups = list(re.finditer(r"\d+", written))
        for first, last in _windows(len(groups)):
            start, end = groups[first].start(), groups[last].end()
            digits = re.sub(r"\D", "", written[start:end])
            if len(digits) in _CARD_LENGTHS and _has_check_digit(digits):
                made = self._cards.setdefault(digits, _card(digits, len(self._cards) + 1))
                card = _laid_out_as(written[start:end], made)
                return self.text(written[:start]) + card + self.text(written[end:])
        return _ONLY_PHONE.sub(self._phone, written)

    def _phone(self, found: re.Match[str]) -> str:
        """Replace the last seven digits: with and without the country it is the same number."""
        digits = re.sub(r"\D", "", found[0])
        made = self._phones.setdefault(digits[-7:], str(_FICTION + len(self._phones)))
        return _laid_out_as(found[0], digits[:-7] + made)


def _windows(count: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of neighbours, the longest rows first."""
    for size in range(count, 0, -1):
        yield from ((first, first + size - 1) for first in range(count - size + 1))


def _laid_out_as(written: str, digits: str) -> str:
    """Put digits into the places of those that were written, its signs left alone."""
    left = iter(digits)
    return re.sub(r"\d", lambda _: next(left), written)


def _card(digits: str, number: int) -> str:
    """Return the card number of this number: as long, of the same kind, and right."""
    body = digits[:2] + str(number).zfill(len(digits) - 3)
    return next(body + last for last in "0123456789" if _has_check_digit(body + last))


def _has_check_digit(digits: str) -> bool:
    """Whether the last digit is the one that Luhn's rule asks for."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    singles = sum(map(int, digits[-1::-2]))
    return (singles + sum(map(sum, (divmod(double, 10) for double in doubled)))) % 10 == 0
