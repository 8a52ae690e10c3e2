"""Metrics of the programs and those on panels or in alerts, compared both ways."""

from . import boards, promql

# What is on no panel, and why. `process_…` are those of each program.
LEFT_OUT = {
    "gateway": {
        "process_virtual_memory_bytes": "address space says nothing about memory in use",
    },
    "producer": {
        "process_virtual_memory_bytes": "address space says nothing about memory in use",
        "process_threads": "one runtime, whose threads are as many as the cores",
        "process_start_time_seconds": "a restart shows in the counters, and in the CPU",
    },
}
JOBS = {"redcast": "gateway", "redcast-producer": "producer"}
# Prometheus itself makes these.
PROMETHEUS = {"up", "ALERTS"}
UNTOUCHED = {"instance": "i", "namespace": "n", "pod": "p"}


def unknown(expr, exports):
    """A sentence for each selector that no series of its program answers."""
    for selector in promql.selectors(expr):
        if selector.name in PROMETHEUS:
            continue
        given = {**UNTOUCHED, "job": _job(selector)}
        program = JOBS.get(given["job"])
        if program is None:
            yield f"{selector.text} is of no job that there is"
        elif exports[program].family(selector.name) is None:
            yield f"the {program} exports no {selector.name}"
        elif not exports[program].answers(selector, given):
            yield f"no series of the {program} is {selector.text}"


def _job(selector):
    """Of whose series it asks, by the job; none: of neither program's."""
    return next((job for job in JOBS if selector.allows("job", job)), None)


def not_shown(expressions, exports):
    """A sentence for each metric that is on no panel and not left out on purpose, and for each
    that is left out and shown all the same."""
    shown = {program: set() for program in exports}
    for expr in expressions:
        for selector in promql.selectors(expr):
            program = JOBS.get(_job(selector))
            if program and selector.name not in PROMETHEUS:
                shown[program].add(exports[program].family(selector.name))
    for program, exported in exports.items():
        missing = exported.families - shown[program] - set(LEFT_OUT[program])
        yield from (f"{name} of the {program} is on no panel" for name in sorted(missing))
        for name in sorted(LEFT_OUT[program]):
            if name in shown[program]:
                yield f"{name} of the {program} is on a panel and among those left out"
            if name not in exported.families:
                yield f"{name}, which is left out, is no metric of the {program}"


def board_expressions():
    """What all panels ask, filled in; annotations show nothing that could be read off."""
    return [boards.filled_in(query["expr"]) for board in boards.load().values()
            for panel in boards.panels(board) for query in panel["targets"]]
