"""Write the table of capabilities in README.md and README.zh.md from the engine itself.

python scripts/readme_tables.py            rewrite the tables
python scripts/readme_tables.py --check    fail when one is not current
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from holdfast.cli import render_store
from holdfast.engines.embedded import engine
from holdfast.kit import language

ROOT = Path(__file__).resolve().parent.parent
PAGES = {ROOT / "README.md": language.ENGLISH, ROOT / "README.zh.md": language.CHINESE}
HEADINGS = {language.ENGLISH: ("engine", "`embedded`"), language.CHINESE: ("引擎", "`embedded`")}
PLACE = re.compile(r"(<!-- capabilities -->\n).*?(<!-- end -->)", re.DOTALL)


def table(speech: str) -> str:
    language.use(speech)
    rows = [HEADINGS[speech], ("---", "---"), *render_store.capability_rows(engine.CAPABILITIES)]
    return "".join(f"| {name} | {value} |\n" for name, value in rows)


def current(page: Path) -> str:
    """The page as it should be."""
    drawn = table(PAGES[page])
    return PLACE.sub(lambda found: found[1] + drawn + found[2], page.read_text(encoding="utf-8"))


def main(arguments: list[str]) -> int:
    stale = [page for page in PAGES if current(page) != page.read_text(encoding="utf-8")]
    if arguments == ["--check"]:
        for page in stale:
            print(f"{page.name} is not current: make generate", file=sys.stderr)
        return 1 if stale else 0
    for page in stale:
        page.write_text(current(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
