"""The rows of the operator's dashboard, one function each."""

from .panels import (GREEN, RED, YELLOW, downwards, heatmap, limit_line, lines, row, stat, states, table)
from .series import collector, gateway, increase, quantile, quantiles, rate

LATENCY = gateway("redcast_delivery_latency_seconds_bucket")
AUTH_TIME = gateway("redcast_forward_auth_seconds_bucket")
LOST = gateway("redcast_deliveries_dropped_total", 'reason!="conflated"')
DELIVERED = gateway("redcast_events_delivered_total")
RECEIVED = gateway("redcast_events_received_total")
BEFORE = gateway("redcast_deflate_bytes_total", 'side="before"')
AFTER = gateway("redcast_deflate_bytes_total", 'side="after"')
SHARE = ((None, GREEN), (0.7, YELLOW), (0.85, RED))
FEW = ((None, GREEN), (0.0001, YELLOW), (0.001, RED))
YES_NO = {0: ("no", RED), 1: ("yes", GREEN)}


def overview():
    """Is it well? Each number is of all instances that are chosen."""
    return row(
        "Overview",
        stat("Instances up", "Instances that Prometheus reaches.", "none", f"sum({gateway('up')})",
             ((None, RED), (1, GREEN))),
        stat("Connections", "Open connections, WebSocket and event streams.", "short",
             f"sum({gateway('redcast_connections')})"),
        stat("Room used", "Connections of the fullest instance, as a share of what it takes.", "percentunit",
             f"max({gateway('redcast_connections')} / {gateway('redcast_connections_limit')})", SHARE, max=1, min=0),
        stat("Redis links up", "Whether every instance has its link for subscriptions.", "none",
             f"min({gateway('redcast_redis_up')})", words=YES_NO),
        stat("Delivery proven", "Whether it is proven on every instance that what is published arrives in all its "
             "channels.", "none", f"min({gateway('redcast_redis_delivery_ok')})", words=YES_NO),
        stat("Draining", "Instances that give their connections back before they end.", "none",
             f"sum({gateway('redcast_draining')})", ((None, GREEN), (1, YELLOW))),
        stat("Events in", "Events that arrived from Redis; one that two instances need counts twice.", "eps",
             rate(RECEIVED)),
        stat("Deliveries out", "Events handed to connections; one event to ten clients counts ten.", "mps",
             rate(DELIVERED)),
        stat("Fan-out", "Deliveries for each event that arrived. No number while nothing is published.", "none",
             f"{rate(DELIVERED)} / ({rate(RECEIVED)} > 0)", decimals=1),
        stat("Delivery p99", "From reading an event to having offered it to every member's socket in one shard. With "
             "flush_every the time it was held is part of it.", "s", quantile(0.99, LATENCY),
             ((None, GREEN), (0.05, YELLOW), (0.25, RED))),
        stat("Deliveries lost", "Share of deliveries that were given up because a client was slow or left. Conflated "
             "ones are not counted: newer ones took their place.", "percentunit",
             f"{rate(LOST)} / ({rate(DELIVERED)} + {rate(LOST)} > 0)", FEW),
        stat("Gaps told", "Stretches in which events of a channel may be missing, in the time shown.", "none",
             increase(gateway("redcast_gaps_total"), over="$__range"), ((None, GREEN), (1, RED)), decimals=0),
        table("Versions", "Which version runs where, and of which commit. More than one for long: a rolling update "
              "is stuck.", "none", gateway("redcast_build_info"),
              ["namespace", "pod", "instance", "version", "commit"], "runs"),
        lines("Uptime", "How long each process has been running. A fall to 0 is a restart.", "s",
              (f"time() - {gateway('process_start_time_seconds')}", "{{instance}}"), size=(12, 6)),
    )


def connections():
    """Who is connected, who comes and goes, and who is turned away?"""
    return row(
        "Connections",
        # Far above the lines, the limit would press them flat.
        lines("Connections per instance", "Open connections, stacked. How many all instances together take is drawn "
              "once they are a quarter full; until then see Room used.",
              "short", (gateway("redcast_connections"), "{{instance}}"),
              (f"sum({gateway('redcast_connections_limit')}) < 4 * sum({gateway('redcast_connections')})",
               "limit of all"),
              stacked=True, size=(12, 8), overrides=[limit_line("limit of all")]),
        lines("Opened and closed", "Connections that began, and below the axis those that ended.", "cps",
              (rate(gateway("redcast_connections_opened_total")), "opened"),
              (rate(gateway("redcast_connections_closed_total")), "closed"),
              size=(12, 8), overrides=[downwards("closed")], floor=None),
        lines("Closed by code", "Why connections ended. 1006: without a close frame. 4409: too slow. 4408: gone "
              "silent. 1012: the instance was restarted. docs/PROTOCOL.md lists them all.", "cps",
              (rate(gateway("redcast_connections_closed_total"), "code"), "{{code}}"), stacked=True),
        lines("Rejected by reason", "Handshakes and sockets that were refused. limit and sockets: scale out. "
              "auth_unavailable: the authentication service does not answer.", "cps",
              (rate(gateway("redcast_connections_rejected_total"), "reason"), "{{reason}}"), stacked=True),
        lines("Imbalance", "Connections of the fullest instance, as a multiple of the mean; 1 is even.", "none",
              (f"max({gateway('redcast_connections')}) / (avg({gateway('redcast_connections')}) > 0)", "max / mean"),
              decimals=2),
        lines("Sockets without a connection", "Sockets of the public port that speak plain HTTP: handshakes under "
              "way, the page, the API, strangers. Near limits.max_http_connections, others are turned away unread.",
              "short", (gateway("redcast_http_connections"), "{{instance}}"), size=(12, 6)),
        lines("Memberships", "Memberships of connections in channels, and channels that instances are interested in.",
              "short", (f"sum({gateway('redcast_subscriptions')})", "memberships"),
              (f"sum({gateway('redcast_channels')})", "channels"), size=(12, 6)),
    )


def redis():
    """Does what is published arrive?"""
    return row(
        "Redis",
        states("Link for subscriptions", "Up or down, by instance.", {0: ("down", RED), 1: ("up", GREEN)},
               (gateway("redcast_redis_up"), "{{instance}}")),
        states("Delivery proven", "Whether a message that the instance publishes to itself each second comes back, "
               "while every channel is confirmed that should be.", {0: ("unproven", RED), 1: ("proven", GREEN)},
               (gateway("redcast_redis_delivery_ok"), "{{instance}}")),
        lines("Age of the last proof", "Time since the newest message to itself was published that came back. Over 3 s "
              "with the link up: a deaf subscription, or a right that Redis does not give.", "s",
              (gateway("redcast_redis_last_proof_seconds"), "{{instance}}")),
        lines("Reconnects", "Links for subscriptions built after the first. With Redis up, a proxy or an "
              "output-buffer limit cuts them.", "none",
              (increase(gateway("redcast_redis_reconnects_total"), "instance"), "{{instance}}")),
        lines("Channels wanted and confirmed", "Channels that instances are interested in, what Redis has confirmed "
              "of them, and what it refused. Fewer confirmed than wanted for long: refusals, or a hung Redis.",
              "short", (f"sum({gateway('redcast_channels')})", "wanted"),
              (f"sum({gateway('redcast_redis_channels')})", "confirmed"),
              (increase(gateway("redcast_subscriptions_refused_total")), "refused")),
        lines("Gaps told", "Stretches in which events of a channel may be missing, each told to its clients once.",
              "none", (increase(gateway("redcast_gaps_total"), "reason"), "{{reason}}"), size=(12, 7)),
        lines("Events the instance lost", "Events that were dropped on the way in. overflow: the fan-out did not keep "
              "up. too_large, bad_channel, no_data: a producer is wrong.", "eps",
              (rate(gateway("redcast_events_dropped_total"), "reason"), "{{reason}}"), size=(12, 7)),
    )


def delivery():
    """How fast, how much, and what is lost on the last leg?"""
    return row(
        "Delivery",
        lines("Events and deliveries", "Events that arrived, and what was handed to connections.", "eps",
              (rate(RECEIVED), "events in"), (rate(DELIVERED), "deliveries out"), size=(12, 8)),
        lines("Bytes", "Payloads that arrived, and what was written to clients, frame headers included.", "Bps",
              (rate(gateway("redcast_event_bytes_received_total")), "in"),
              (rate(gateway("redcast_bytes_out_total")), "out"), size=(12, 8)),
        lines("Delivery latency", "From reading an event to having offered it to every member's socket in one shard. "
              "A p99 over 50 ms without flush_every: the process lacks CPU.", "s", *quantiles(LATENCY), size=(12, 8)),
        heatmap("Delivery latency, all of it", "How many batches of deliveries took how long.", "s",
                rate(LATENCY, "le")),
        lines("Waiting for slow clients", "Bytes in all outboxes of an instance. Steady growth: clients can't keep "
              "up.", "bytes", (gateway("redcast_outbox_bytes"), "{{instance}}")),
        lines("Deliveries given up", "By reason. slow_consumer and drop_oldest: too slow for what they subscribe to. "
              "conflated: a newer event took its place, as configured.", "mps",
              (rate(gateway("redcast_deliveries_dropped_total"), "reason"), "{{reason}}"), stacked=True),
        lines("What gathering and compression save", "Share of deliveries that shared a write because of flush_every, "
              "and share of bytes that deflate took off; 0 where neither is used.", "percentunit",
              (f"{rate(gateway('redcast_deliveries_coalesced_total'))} / ({rate(DELIVERED)} > 0)", "writes saved"),
              (f"1 - {rate(AFTER)} / ({rate(BEFORE)} > 0)", "bytes saved"), max=1),
    )


def streams():
    """Do clients that come back miss nothing?"""
    return row(
        "Streams and resume",
        lines("Resumes", "Clients that gave a cursor, by channel and what became of it. exact: they missed nothing.",
              "cps", (rate(gateway("redcast_resumes_total"), "outcome"), "{{outcome}}"), stacked=True),
        lines("Streams broken", "Streams that an instance could not follow without a break. trimmed: keep more "
              "entries. forked: Redis goes on with another history. unknown: the stream is gone.", "none",
              (increase(gateway("redcast_stream_resets_total"), "reason"), "{{reason}}")),
        lines("Stream channels", "Stream channels that each instance follows.", "short",
              (gateway("redcast_stream_channels"), "{{instance}}")),
        lines("Replay", "Events of the past that were sent because clients came back.", "eps",
              (rate(gateway("redcast_replayed_events_total")), "events replayed"), size=(8, 7)),
        lines("Reads of streams", "Reads because of clients that came back, and those that were spared because "
              "another client had asked for the same a moment before.", "rps",
              (rate(gateway("redcast_stream_reads_total")), "read"),
              (rate(gateway("redcast_stream_reads_saved_total")), "spared"), size=(8, 7)),
        lines("Verification and repair", "Places in streams that were compared with Redis, and entries that were read "
              "after a connection had been away.", "cps",
              (rate(gateway("redcast_stream_verifications_total")), "places compared"),
              (rate(gateway("redcast_stream_entries_repaired_total")), "entries repaired"), size=(8, 7)),
        collapsed=True)


def snapshots():
    """Are the documents that clients get fresh?"""
    return row(
        "Snapshots",
        lines("Reads of snapshots", "By outcome: ok, or why clients still get the last one. 0 without [[snapshots]].",
              "rps", (rate(gateway("redcast_snapshot_reads_total"), "outcome"), "{{outcome}}"), size=(12, 7)),
        lines("Stale snapshots", "Snapshots that the last read did not bring.", "none",
              (gateway("redcast_snapshot_stale"), "{{instance}}"), size=(12, 7)),
        collapsed=True)


def commands():
    """What do clients and producers ask, and what is refused?"""
    return row(
        "Commands and publishing over HTTP",
        lines("Commands", "Text messages from clients, and fields in them that this version does not know.", "mps",
              (rate(gateway("redcast_commands_total")), "commands"),
              (rate(gateway("redcast_command_unknown_fields_total")), "unknown fields"), size=(6, 8)),
        lines("Commands refused", "By the code of the answer.", "mps",
              (rate(gateway("redcast_commands_refused_total"), "code"), "{{code}}"), stacked=True,
              size=(6, 8)),
        lines("Requests to publish", "POST /api/publish, by what became of it. unavailable: Redis was away.", "reqps",
              (rate(gateway("redcast_http_publishes_total"), "outcome"), "{{outcome}}"), stacked=True, size=(6, 8)),
        lines("Events published over HTTP", "Events of those requests; a batch counts each of its own. What producers "
              "publish to Redis themselves is not in here.", "eps",
              (rate(gateway("redcast_http_events_published_total")), "events"), size=(6, 8)),
        collapsed=True)


def authentication():
    """Does the service that admits clients answer, and how fast?"""
    return row(
        "Authentication",
        lines("Questions to the authentication service", "By how they ended. All but admitted, unauthenticated and "
              "forbidden are troubles of that service. 0 without auth.forward_url.", "reqps",
              (rate(gateway("redcast_forward_auth_requests_total"), "outcome"), "{{outcome}}"), stacked=True),
        lines("Time of an answer", "It is part of each handshake. Near auth.forward_timeout: clients are about to be "
              "refused.", "s", *quantiles(AUTH_TIME)),
        heatmap("Time of an answer, all of it", "How many questions took how long.", "s", rate(AUTH_TIME, "le"),
                size=(8, 8)),
        collapsed=True)


def process():
    """What does an instance cost, and is it near a limit?"""
    memory = gateway("process_resident_memory_bytes")
    return row(
        "Process",
        lines("CPU", "Cores in use. Near the cores it has: scale out.", "none",
              (rate(gateway("process_cpu_seconds_total"), "instance"), "{{instance}}"), decimals=2),
        lines("Memory", "Resident memory.", "bytes", (memory, "{{instance}}")),
        lines("Memory per connection", "Resident memory less what waits in outboxes, for each connection. Says little "
              "below some thousand connections.", "bytes",
              (f"({memory} - {gateway('redcast_outbox_bytes')}) / ({gateway('redcast_connections')} > 0)",
               "{{instance}}")),
        lines("File descriptors", "In use, as a share of the most the process may open.", "percentunit",
              (f"{gateway('process_open_fds')} / {gateway('process_max_fds')}", "{{instance}}"), max=1, size=(6, 7)),
        lines("Threads", "Threads of the process.", "none", (gateway("process_threads"), "{{instance}}"), size=(6, 7)),
        lines("Tasks", "Tasks of the runtime. Growth that follows neither connections nor links is a leak.", "short",
              (gateway("redcast_tasks_alive"), "{{instance}}"), size=(6, 7)),
        lines("Faults of ours", "Connections that were ended by a fault of the gateway. Anything but 0: report it.",
              "none", (increase(gateway("redcast_connection_panics_total"), "instance"), "{{instance}}"), size=(6, 7)),
        collapsed=True)


def collectors():
    """Is the collector of page views well?"""
    calls = collector("redcast_producer_record_seconds_bucket")
    return row(
        "Collector of page views",
        states("Collector's store", "Whether Redis did what it was last asked.", {0: ("down", RED), 1: ("up", GREEN)},
               (collector("redcast_producer_store_up"), "{{instance}}"), size=(8, 7)),
        lines("Beacons", "By what became of them. queue_full and unavailable: views that were lost.", "reqps",
              (rate(collector("redcast_producer_views_total"), "outcome"), "{{outcome}}"), stacked=True, size=(8, 7)),
        lines("Time to record", "Of each call that took in what had waited.", "s", *quantiles(calls), size=(8, 7)),
        lines("Collector's CPU", "Cores in use.", "none",
              (rate(collector("process_cpu_seconds_total"), "instance"), "{{instance}}"), size=(8, 6), decimals=2),
        lines("Collector's memory", "Resident memory.", "bytes",
              (collector("process_resident_memory_bytes"), "{{instance}}"), size=(8, 6)),
        lines("Collector's file descriptors", "In use, as a share of the most the process may open.", "percentunit",
              (f"{collector('process_open_fds')} / {collector('process_max_fds')}", "{{instance}}"), size=(8, 6),
              max=1),
        collapsed=True)
