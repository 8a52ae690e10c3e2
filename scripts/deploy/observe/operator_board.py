"""The dashboard of who runs the gateways: is it well, and if not, where is it not?

The first rows are open and answer the first question; each closed one is a part of the
gateway, for the second. docs/DASHBOARDS.md lists the questions.
"""

from . import board, operator_rows as rows
from .series import BOTH, gateway

VARIABLES = [
    board.datasource_variable(),
    board.label_variable("job", "Job", "label_values(redcast_build_info, job)", every=False, default="redcast"),
    board.label_variable("namespace", "Namespace", 'label_values(redcast_build_info{job=~"$job"}, namespace)'),
    board.label_variable("instance", "Instance",
                         'label_values(redcast_build_info{job=~"$job", namespace=~"$namespace"}, instance)'),
    board.label_variable("collector", "Collector's job", "label_values(redcast_producer_store_up, job)",
                         every=False, default="redcast-producer"),
]

# The value of each series is when its process began, so the mark stands at the start itself,
# however wide the step of the query is.
STARTED = (f"{gateway('process_start_time_seconds')} * 1000"
           f" * ignoring (version, commit) group_left (version, commit) {gateway('redcast_build_info')}")
ANNOTATIONS = [
    board.annotation("Starts", "blue", STARTED, "{{instance}} started", "version {{version}}, commit {{commit}}",
                     at_value=True),
    board.annotation("Drains", "purple", f"{gateway('redcast_draining')} == 1", "{{instance}} drains",
                     "gives its connections back"),
    board.annotation("Alerts", "red", f'ALERTS{{alertname=~"Redcast.*", alertstate="firing", {BOTH}}}',
                     "{{alertname}}", "{{severity}} {{instance}}"),
]


def build():
    """The dashboard as Grafana reads it."""
    return board.dashboard(
        "redcast-operator", "Redcast / Operator",
        "Whether the gateways are well, and where they are not. docs/DASHBOARDS.md says which panel answers what.",
        VARIABLES, ANNOTATIONS,
        [rows.overview(), rows.connections(), rows.redis(), rows.delivery(), rows.streams(), rows.snapshots(),
         rows.commands(), rows.authentication(), rows.process(), rows.collectors()],
    )
