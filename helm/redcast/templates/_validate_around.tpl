{{/* Judges of what surrounds the pods: routes, Service, network, metrics. */}}
{{- define "redcast.validate.ingress" -}}
{{- $ingress := .Values.ingress -}}
{{- if and $ingress.enabled (not $ingress.hosts) }}
ingress.hosts: must be set, at least one; one with an empty host takes all
{{- end }}
{{- if and $ingress.sticky.enabled (not $ingress.controller) }}
ingress.sticky: each controller has annotations of its own; set ingress.controller
{{- end }}
{{- if and $ingress.sticky.enabled (not $ingress.enabled) }}
ingress.sticky: there is no Ingress that could be sticky; set ingress.enabled
{{- end }}
{{- if and (eq $ingress.sticky.sameSite "none") (not $ingress.sticky.secure) }}
ingress.sticky.sameSite: browsers drop a cookie with "none" that is not secure; set ingress.sticky.secure
{{- end }}
{{- if and $ingress.enabled (has $ingress.controller (list "haproxy" "alb" "nginx")) }}
{{- include "redcast.validate.idle" . }}
{{- end }}
{{- if and $ingress.enabled (eq $ingress.controller "alb") }}
{{- include "redcast.validate.alb" . }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
httpRoute.parentRefs: must be set, the Gateways that the route belongs to
{{- end }}
{{- end -}}

{{- define "redcast.validate.idle" -}}
{{- $ping := include "redcast.setting" (list . "keepalive" "ping_every" "30s") -}}
{{- $every := include "redcast.milliseconds" $ping -}}
{{- if and $ping (not $every) }}
keepalive.ping_every: {{ $ping }} can't be compared with ingress.idleTimeoutSeconds; write it with ms, s, m or h, such as 30s
{{- else if and $ping (le (mul 1000 .Values.ingress.idleTimeoutSeconds) (int64 $every)) }}
ingress.idleTimeoutSeconds: {{ .Values.ingress.idleTimeoutSeconds }} would end connections between two pings (keepalive.ping_every is {{ $ping }})
{{- end }}
{{- end -}}

{{/* The bounds that AWS has for attributes of load balancers and target groups. */}}
{{- define "redcast.validate.alb" -}}
{{- $ingress := .Values.ingress -}}
{{- if gt (int $ingress.idleTimeoutSeconds) 4000 }}
ingress.idleTimeoutSeconds: an ALB takes 4000 at most
{{- end }}
{{- if gt (include "redcast.drainSeconds" . | int) 3600 }}
drain: {{ include "redcast.drainSeconds" . }} s are longer than the 3600 s that an ALB waits at most
{{- end }}
{{- if and $ingress.sticky.enabled (gt (int $ingress.sticky.maxAgeSeconds) 604800) }}
ingress.sticky.maxAgeSeconds: an ALB takes 604800 at most
{{- end }}
{{- end -}}

{{- define "redcast.validate.service" -}}
{{- $service := .Values.service -}}
{{- if eq $service.type "ClusterIP" }}
{{- range $key := list "nodePort" "externalTrafficPolicy" }}
{{- if get $service $key }}
service.{{ $key }}: a Service of type ClusterIP has none; set service.type
{{- end }}
{{- end }}
{{- end }}
{{- if ne $service.type "LoadBalancer" }}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" }}
{{- if get $service $key }}
service.{{ $key }}: a Service of type {{ $service.type }} has none; set service.type to LoadBalancer
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A policy that the gateway can't work behind, as far as the values tell. */}}
{{- define "redcast.validate.network" -}}
{{- $policy := .Values.networkPolicy -}}
{{- if $policy.enabled }}
{{- $open := list -}}
{{- range $policy.egress.redis.ports }}{{ $open = append $open (toJson .) }}{{ end -}}
{{- range include "redcast.knownPorts" . | fromJsonArray }}
{{- if not (has . $open) }}
networkPolicy.egress.redis.ports: {{ . }} is missing, where Redis or its sentinels are
{{- end }}
{{- end }}
{{- $asked := include "redcast.forwardAuth" . | fromJsonArray }}
{{- if and $asked (not $policy.egress.extra) }}
networkPolicy.egress.extra: must let the gateway reach the service that admits handshakes ({{ first $asked }})
{{- end }}
{{- end }}
{{- end -}}

{{- define "redcast.validate.metrics" -}}
{{- $metrics := .Values.metrics -}}
{{- if and $metrics.serviceMonitor.enabled $metrics.podMonitor.enabled }}
metrics.podMonitor: serviceMonitor is enabled, too, and every pod would be counted twice; leave one
{{- end }}
{{- if and $metrics.serviceMonitor.enabled (not .Values.admin.service.enabled) }}
metrics.serviceMonitor: looks for the admin Service, which is switched off; set admin.service.enabled, or use podMonitor
{{- end }}
{{- range $key := list "serviceMonitor" "podMonitor" }}
{{- $monitor := get $metrics $key }}
{{- $every := include "redcast.milliseconds" $monitor.interval | int64 }}
{{- if and $every (gt (include "redcast.milliseconds" $monitor.scrapeTimeout | int64) $every) }}
metrics.{{ $key }}.scrapeTimeout: {{ $monitor.scrapeTimeout }} is longer than interval, {{ $monitor.interval }}, and Prometheus would refuse it
{{- end }}
{{- end }}
{{- $alerts := list -}}
{{- range (.Files.Get "files/alerts.yml" | fromYaml).groups }}
{{- range .rules }}{{ $alerts = append $alerts .alert }}{{ end }}
{{- end }}
{{- range $metrics.prometheusRule.disabled }}
{{- if not (has . $alerts) }}
metrics.prometheusRule.disabled: there is no alert {{ . }}
{{- end }}
{{- end }}
{{- if and $metrics.dashboards.grafanaOperator.enabled (not $metrics.dashboards.enabled) }}
metrics.dashboards.grafanaOperator: points at the ConfigMaps of metrics.dashboards; set metrics.dashboards.enabled
{{- end }}
{{- end -}}
