"""A page for each program of examples/, and their gallery."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Example:
    """A program, what it says of itself, its picture and the page of docs/ about it, if any."""

    file: Path
    about: str
    picture: str | None
    story: str | None

    @property
    def page(self) -> str:
        """The page, from the root of the site."""
        return f"examples/{self.file.stem}.md"

    @property
    def headline(self) -> str:
        """The first line of the docstring, without the number of the lesson."""
        first = re.sub(r"^Lesson \d+: ", "", self.about.partition("\n")[0])
        return first[:1].upper() + first[1:]

    @property
    def title(self) -> str:
        """The headline, up to its first pause."""
        return re.split(r"[:,] ", self.headline)[0].rstrip(".")

    def as_page(self) -> str:
        """Return what the example says of itself, its picture and its code."""
        story = self.about.partition("\n")[2].strip("\n")
        story = re.sub(r"^python examples/.*", r"`\g<0>`", story, flags=re.MULTILINE)
        picture = f"![{self.title}](../{self.picture})\n\n" if self.picture else ""
        source = self.file.read_text()
        end = ast.parse(source).body[0].end_lineno
        code = "\n".join(source.splitlines()[end:]).strip("\n")
        return (
            f"# {self.title}\n\n{self.headline}\n\n{story}\n\n{picture}"
            f"## examples/{self.file.name}\n\n```python\n{code}\n```\n"
        )

    def as_card(self) -> str:
        """Return the example's place in the gallery."""
        page = self.story or self.page
        picture = f"[![{self.title}]({self.picture})]({page})\n\n" if self.picture else ""
        link = f"[{self.headline}]({page})"
        return f'<div class="card" markdown>\n\n{picture}{link}\n\n</div>'


def examples() -> list[Example]:
    """Return the examples in the order of their numbers, which is that of learning."""
    found = []
    for file in sorted((ROOT / "examples").glob("*.py")):
        about = ast.get_docstring(ast.parse(file.read_text())) or file.stem
        picture, story = named_like(file, "images/*.png"), named_like(file, "gallery/*.md")
        found.append(Example(file, about, picture, story))
    return found


def named_like(example: Path, pattern: str) -> str | None:
    """Return the file of docs/ whose name is a word of the example's: lenet of 09_mnist_lenet."""
    docs = ROOT / "docs"
    for file in sorted(docs.glob(pattern)):
        if file.stem in example.stem.split("_"):
            return str(file.relative_to(docs))
    return None


def gallery() -> str:
    """Return the cards of all examples, those with pictures first."""
    cards = sorted(examples(), key=lambda example: example.picture is None)
    body = "\n\n".join(example.as_card() for example in cards)
    return f'<div class="gallery" markdown>\n\n{body}\n\n</div>'
