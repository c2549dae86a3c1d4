"""The wording of code, messages and docs: phrases that a reader of English stumbles over, and what to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted((ROOT / "keras_retinanet").rglob("*.py")),
    *sorted((ROOT / "benchmarks").glob("*.py")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("*.md")),
]

_UNIT = (
    "line|image|class|file|name|word|box|level|step|epoch|row|batch|page|format|family|side|shape|command|process|core|"
    "anchor|channel|entry|folder|run|split|second|call|model"
)
_NOUN = "JSON|ZIP|image|folder|file|snapshot|number|model|video|name|text|list|checkpoint|class|picture"
PHRASES = {
    r"(?:is|are|be|was|were|been) told\b": "is reported, is given, or the active voice",
    r"\bwhat (?:\w+ ){1,3}tells?\b": "says, states, contains",
    r"\banew\b": "again, new",
    r"\b(?:becomes?|became) of\b": "happens to, or name the result",
    r"\blikewise\b": "also",
    r"\bof which (?:nothing|none|one|each)\b": "a relative clause with its verb",
    r"\bgo(?:es)? on (?:with|from|where|without)\b": "continues",
    rf"\b(?:a|one|two) (?:{_UNIT})s? an? (?:{_UNIT})\b": "one … per …",
    rf"\b(?:is|are) no (?:{_NOUN})s?\b": "is not a …",
    r"\bstands? (?:there )?twice\b": "occurs twice",
    r'"""(?:Whether|Adds it|Heads or tails)\.': "say what is returned, with its type and unit",
}
"""Pattern of a phrase → what to write. `there is no file` is English, `it is no file` is not."""


def phrases_in(text: str) -> list[str]:
    """The phrases of a text, each with its line number and the advice."""
    found = []
    for pattern, advice in PHRASES.items():
        for match in re.finditer(pattern, text, flags=re.IGNORECASE):
            if re.search(r"\bthere $", text[max(0, match.start() - 6) : match.start()], flags=re.IGNORECASE):
                continue
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"line {line}: {match[0]!r}: write {advice}")
    return found


@pytest.mark.parametrize(
    "text",
    [
        "the user is told",
        "copy it anew",
        "what becomes of crowds",
        "names, one line a class",
        "it is no JSON",
        "goes on with",
    ],
)
def test_the_lint_sees_each_phrase(text: str) -> None:
    assert len(phrases_in(text)) == 1


@pytest.mark.parametrize(
    "text", ["there is no file", "it is no longer there", "one line per class", "told apart", "a new line"]
)
def test_plain_english_passes(text: str) -> None:
    assert phrases_in(text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_such_a_phrase(page: Path) -> None:
    assert phrases_in(page.read_text(encoding="utf-8")) == []
