"""The dashboard of who wants to know what visitors do, and whether it reaches its viewers."""

from . import board
from .operator_board import VARIABLES
from .panels import GREEN, RED, YELLOW, lines, row, stat
from .series import collector, gateway, increase, quantile, rate

VIEWS = collector("redcast_producer_views_total", 'outcome="recorded"')
ROBOTS = collector("redcast_producer_views_total", 'outcome="bot"')
BEACONS = collector("redcast_producer_views_total")
LOST_VIEWS = collector("redcast_producer_views_total", 'outcome=~"unavailable|queue_full"')
VIEWERS = gateway("redcast_connections")
DELIVERED = gateway("redcast_events_delivered_total")
LATENCY = gateway("redcast_delivery_latency_seconds_bucket")


def now():
    """How much is going on?"""
    return row(
        "Now",
        stat("Page views per second", "Page views from browsers that were recorded and published.", "none", rate(VIEWS),
             decimals=1),
        stat("Page views in the time shown", "Counted by the collectors; restarts in between are taken into account.",
             "short", increase(VIEWS, over="$__range"), decimals=0),
        stat("Watching now", "Open connections: everybody who sees events as they happen.", "short",
             f"sum({VIEWERS})"),
        stat("Shown per second", "Events that reached somebody: one event to ten viewers counts ten.", "mps",
             rate(DELIVERED)),
        stat("Time to the viewer", "Within how long 95 of 100 batches of events were handed on by a gateway.", "s",
             quantile(0.95, LATENCY), ((None, GREEN), (0.05, YELLOW), (0.25, RED))),
        stat("Views lost", "Views that could not be recorded because Redis was away or too slow, in the time shown.",
             "none", increase(LOST_VIEWS, over="$__range"), ((None, GREEN), (1, RED)), decimals=0),
    )


def visits():
    """How many pages are seen, and how does that compare?"""
    return row(
        "Page views",
        lines("Page views", "Page views per second, and the same a day and a week ago, where Prometheus goes back that "
              "far.", "none", (rate(VIEWS), "now"),
              (f"sum(rate({VIEWS}[$__rate_interval] offset 1d))", "a day ago"),
              (f"sum(rate({VIEWS}[$__rate_interval] offset 7d))", "a week ago"), size=(16, 9), decimals=1),
        lines("What browsers sent", "Everything that arrived, by what became of it. bot: not counted, as it should "
              "be. unknown_site, origin: another site's page.", "reqps", (rate(BEACONS, "outcome"), "{{outcome}}"),
              stacked=True, size=(8, 9)),
        lines("Share of robots", "Of all that arrived, what said that it was a robot.", "percentunit",
              (f"{rate(ROBOTS)} / ({rate(BEACONS)} > 0)", "robots"), size=(12, 7), max=1),
        lines("Time to record a view", "Within how long 95 of 100 calls were counted in Redis, and their mean.", "s",
              (quantile(0.95, collector("redcast_producer_record_seconds_bucket")), "p95"),
              (f"{rate(collector('redcast_producer_record_seconds_sum'))}"
               f" / ({rate(collector('redcast_producer_record_seconds_count'))} > 0)", "mean"), size=(12, 7)),
    )


def viewers():
    """Who watches, and what reaches them?"""
    coming = gateway("redcast_connections_opened_total")
    going = gateway("redcast_connections_closed_total")
    return row(
        "Viewers",
        lines("Watching", "Open connections, and the same a day ago.", "short", (f"sum({VIEWERS})", "now"),
              (f"sum({gateway('redcast_connections')} offset 1d)", "a day ago"), size=(12, 8)),
        lines("Coming and going", "Viewers who came and who left, per second.", "cps", (rate(coming), "came"),
              (rate(going), "left"), size=(12, 8)),
        lines("Events", "Events that arrived at the busiest gateway, and what all gateways showed to viewers. A "
              "gateway hears only what its own viewers want.", "eps",
              (f"max(rate({gateway('redcast_events_received_total')}[$__rate_interval]))", "events"),
              (rate(DELIVERED), "shown"), size=(12, 8)),
        lines("Shown per viewer", "Events per second for each viewer.", "eps",
              (f"{rate(DELIVERED)} / (sum({VIEWERS}) > 0)", "events"), size=(12, 8), decimals=2),
    )


def service():
    """Was the service there for them?"""
    return row(
        "Service",
        lines("Service", "Share of gateways and collectors that answer, and whether the collectors can record.",
              "percentunit", (f"avg({gateway('up')})", "gateways"), (f"avg({collector('up')})", "collectors"),
              (f"avg({collector('redcast_producer_store_up')})", "recording"), size=(12, 7), max=1),
        lines("Holes that viewers were told of", "Gaps and broken streams: viewers may have missed something, and know "
              "it.", "none", (increase(gateway("redcast_gaps_total")), "gaps"),
              (increase(gateway("redcast_stream_resets_total")), "broken streams"), size=(12, 7)),
    )


def build():
    """The dashboard as Grafana reads it."""
    link = {"type": "dashboards", "title": "Redcast", "tags": ["redcast"], "asDropdown": False, "icon": "external link",
            "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""}
    return board.dashboard(
        "redcast-business", "Redcast / Business",
        "Page views, viewers, and what reaches them. docs/DASHBOARDS.md says which panel answers what.",
        VARIABLES, [], [now(), visits(), viewers(), service()], [link])
