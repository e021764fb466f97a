"""What of `terraform fmt` can be checked without Terraform: the indentation, the spaces, the columns of `=`."""

from __future__ import annotations

import re
from collections.abc import Iterator


def unformatted(text: str) -> Iterator[str]:
    """Where a file is not as `terraform fmt` writes it: the indentation, the spaces, the column of `=`."""
    depth, run = 0, list[tuple[int, int]]()
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line != line.rstrip() or "\t" in line:
            yield f"{number}: spaces at the end, or a tab"
        plain = re.sub(r'"(?:\\.|[^"])*"', '""', line.partition(" # ")[0] if not line.lstrip().startswith("#") else "")
        closes = len(re.match(r"[\s\]})]*", plain)[0].strip()) > 0 if plain else False  # type: ignore[index]
        opened = sum(map(plain.count, "[{(")) - sum(map(plain.count, "]})"))
        level = depth - (1 if closes else 0)
        if line.strip() and len(line) - len(line.lstrip()) != 2 * level:
            yield f"{number}: {2 * level} spaces are wanted"
        depth += (opened > 0) - (opened < 0)
        assigned = re.match(r"\s*(\"?[\w:-]+\"?) *= ", line)
        if assigned and opened == 0:
            run.append((number, line.index("= ")))
            name = assigned[1]
            run[-1] = (number, line.index("= ", line.index(name) + len(name)))
            continue
        if len({column for _, column in run}) > 1:
            yield f"{run[0][0]}: the columns of = differ"
        run = []
