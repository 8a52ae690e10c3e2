"""What the runbooks quote from logs, and what the programs can log.

Somebody who is called at night greps for what a page says; a text that nobody logs answers
with silence, which looks like good news.
"""

import re

from . import boards, coverage, promql

CRATES = boards.ROOT / "crates"
# Those of tests and benchmarks, and the collector's, which a gateway has for --demo alone.
NOT_OF_THE_GATEWAY = {"bench", "e2e", "fuzz", "producer"}
# A command of the same program that no alert watches: it has no metrics and ends.
NOT_OF_THE_COLLECTOR = CRATES / "producer/src/replay"
CLOSE_CODES = CRATES / "protocol/src/close.rs"

COMMAND = re.compile(r"^LOGS\b([^#\n]*)(.*)$", re.MULTILINE)
GREP = re.compile(r"\bgrep(?: -\w+)* (?:'([^']+)'|([^\s']+))")
IN_A_COMMENT = re.compile(r'"([^"]+)"')
# In a sentence: the line `text`, it says `text`.
IN_A_SENTENCE = re.compile(r"\b(?:lines?|says|logs|logged) `([^`]+)`")
MACRO = re.compile(r"\b(?:error|warn|info|debug|trace)!\(")
# What matters for finding the end of a macro, and the texts in it.
TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([()])')
TESTS = re.compile(r"^#\[cfg\(test\)\]\nmod \w+ \{.*", re.MULTILINE | re.DOTALL)


def quoted(page):
    """What a runbook says that a log holds."""
    for command, comment in COMMAND.findall(page):
        yield from (one or other for one, other in GREP.findall(command))
        yield from IN_A_COMMENT.findall(comment)
    yield from IN_A_SENTENCE.findall(page)


def logged(source):
    """The texts in the logging macros of a Rust file, without those of its tests."""
    source = TESTS.sub("", source)
    for macro in MACRO.finditer(source):
        depth = 1
        for token in TOKEN.finditer(source, macro.end()):
            depth += {"(": 1, ")": -1}.get(token[2], 0)
            if depth == 0:
                break
            if token[1]:
                yield token[1]


def programs_of(rule):
    """The programs whose series an alert asks for."""
    return {program for job, program in coverage.JOBS.items()
            if any(selector.allows("job", job) for selector in promql.selectors(rule["expr"]))}


def of_the_programs():
    """All that each program can log."""
    crates = [path for path in sorted(CRATES.iterdir()) if path.is_dir()]
    gateway = [crate / "src" for crate in crates if crate.name not in NOT_OF_THE_GATEWAY]
    return {"gateway": _all(gateway), "producer": _all([CRATES / "producer/src"])}


def _all(folders):
    files = [path for folder in folders for path in sorted(folder.rglob("*.rs"))
             if not path.stem.endswith("tests") and NOT_OF_THE_COLLECTOR not in path.parents]
    return [text for path in files for text in logged(path.read_text(encoding="utf-8"))]


def faults(rule, page, texts, codes):
    """A sentence for each quotation that no program of the alert logs."""
    programs = programs_of(rule)
    for quotation in quoted(page):
        # A number is that of a close code, which `connection closed` has as a field.
        known = (quotation in codes if quotation.isdigit() else
                 any(quotation in text for program in programs for text in texts[program]))
        if not known:
            yield f"{quotation!r} is in no log of the {' or the '.join(sorted(programs))}"
