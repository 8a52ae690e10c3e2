"""How the dashboards name the series of the programs, and expressions that recur."""

# Every panel asks by these; where there is no namespace, "All" lets through what has none.
GATEWAYS = 'job=~"$job", namespace=~"$namespace", instance=~"$instance"'
# What is told of either: the alerts. Those that are summed have no instance.
BOTH = 'job=~"$job|$collector", namespace=~"$namespace", instance=~"$instance"'
COLLECTORS = 'job=~"$collector", namespace=~"$namespace"'


def gateway(name, *matchers):
    """A metric of the gateways that are chosen."""
    return f"{name}{{{', '.join((GATEWAYS, *matchers))}}}"


def collector(name, *matchers):
    """A metric of the collectors."""
    return f"{name}{{{', '.join((COLLECTORS, *matchers))}}}"


def rate(series, by=""):
    """The sum of a counter's rate, for each value of the labels in `by`."""
    return _sum(f"rate({series}[$__rate_interval])", by)


def increase(series, by="", over="$__rate_interval"):
    """By how much a counter grew, for each value of the labels in `by`."""
    return _sum(f"increase({series}[{over}])", by)


def _sum(inner, by):
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantile(share, buckets, by="le"):
    """A quantile of a histogram over all its series, or for each value of the labels in `by`."""
    return f"histogram_quantile({share}, {rate(buckets, by)})"


def quantiles(buckets):
    """The three that are shown everywhere, as queries of a panel."""
    return [(quantile(share, buckets), f"p{name}") for share, name in ((0.5, "50"), (0.9, "90"), (0.99, "99"))]
