"""Say which suites there are."""

from __future__ import annotations

from pathlib import Path

if __name__ == "__main__":
    print((Path(__file__).parent / "README.md").read_text(encoding="utf-8"))
