"""Whether each `make TARGET` that somebody may read and type is one."""

import re
from pathlib import Path

READ = ["*.md", "Makefile", "docker-compose.yml", ".ci/*", "docs/**/*.md", "scripts/**/*", "deploy/**/*", "helm/**/*.md"]
# As code of a sentence, or as a command of its own line; in between, make is a verb.
NAMED = re.compile(r"`[^`\n]*?\bmake ([a-z][a-z-]*)|^[ \t]*(?:exec |\$ )?make ([a-z][a-z-]*)", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`[^`\n]+`")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def named(text, markdown):
    """The targets that a text names."""
    if markdown:
        # Code alone: a sentence may well begin a line with the verb.
        text = "\n".join([*FENCED.findall(text), *SPAN.findall(FENCED.sub("", text))])
    return [one or other for one, other in NAMED.findall(text)]


def faults():
    """A sentence for each target that is named and does not exist."""
    targets = set(TARGET.findall(Path("Makefile").read_text()))
    paths = {path for pattern in READ for path in Path().glob(pattern) if path.is_file() and not path.is_symlink()}
    # Tests have examples.
    for path in sorted(path for path in paths if not path.stem.endswith("_test")):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            # A picture.
            continue
        for name in sorted(set(named(text, path.suffix == ".md")) - targets):
            yield f"{path}: there is no make {name}"
