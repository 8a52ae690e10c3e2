{{/*
Values that the schema can't judge, because two of them don't go together. All mistakes
are told at once, each in a sentence that says what to do.
*/}}
{{- define "redcast.validate" -}}
{{- $wrong := list -}}
{{- range $judge := list "redis" "secrets" "config" "drain" "scale" "routes" "metrics" -}}
{{- $said := include (print "redcast.validate." $judge) $ -}}
{{- range splitList "\n" $said -}}
{{- with trim . }}{{ $wrong = append $wrong (print "  - " .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\nThese values can't be used:\n%s\n" (join "\n" $wrong)) -}}
{{- end -}}
{{- end -}}

{{- define "redcast.validate.redis" -}}
{{- $redis := .Values.redis -}}
{{- $set := list -}}
{{- with $redis.url }}{{ $set = append $set "redis.url" }}{{ end -}}
{{- with $redis.nodes }}{{ $set = append $set "redis.nodes" }}{{ end -}}
{{- with $redis.sentinel.hosts }}{{ $set = append $set "redis.sentinel.hosts" }}{{ end -}}
{{- with $redis.cluster.hosts }}{{ $set = append $set "redis.cluster.hosts" }}{{ end -}}
{{- if and $redis.existingSecret (or $redis.existingSecretKeys.url $redis.existingSecretKeys.nodes) }}
{{- $set = append $set "redis.existingSecret" }}
{{- end -}}
{{- if not $set }}
redis: no Redis is set; give redis.existingSecret the name of a Secret that holds its URL, or set redis.url
{{- else if gt (len $set) 1 }}
redis: {{ join ", " $set }} are set; leave one
{{- end }}
{{- if and $redis.existingSecret $redis.existingSecretKeys.url $redis.existingSecretKeys.nodes }}
redis.existingSecretKeys: url and nodes are set; set the one that you don't mean to ""
{{- end }}
{{- if and $redis.sentinel.hosts (not $redis.sentinel.primary) }}
redis.sentinel.primary: must be set, the name under which the sentinels know the primary
{{- end }}
{{- end -}}

{{- define "redcast.validate.secrets" -}}
{{- $keys := values .Values.existingSecretKeys | compact -}}
{{- $plain := values .Values.secrets | compact -}}
{{- if and .Values.existingSecret (not $keys) }}
existingSecret: nothing is taken from {{ .Values.existingSecret }}; say in existingSecretKeys which of its keys hold what
{{- end }}
{{- if and $keys (not .Values.existingSecret) }}
existingSecretKeys: keys of which Secret? Set existingSecret
{{- end }}
{{- if and $plain .Values.existingSecret }}
secrets: existingSecret is set, too; put all of them there
{{- end }}
{{- end -}}

{{/* Keys of the configuration with the values that set them. */}}
{{- define "redcast.ownConfig" -}}
{{- dict
  "http.listen" "service.containerPort"
  "admin.listen" "admin.port"
  "shutdown.accept_for" "drain.acceptSeconds"
  "shutdown.window" "drain.windowSeconds"
  "redis.url" "redis.url" "redis.url_file" "redis.existingSecret"
  "redis.nodes" "redis.nodes" "redis.nodes_file" "redis.existingSecret"
  "redis.sentinel_password" "redis.existingSecret" "redis.sentinel_password_file" "redis.existingSecret"
  "redis.prefix" "redis.prefix" "redis.sharded" "redis.cluster.sharded" "redis.tls" "redis.tls"
  "api.key" "existingSecret" "api.key_file" "existingSecret"
  "auth.forward_url_file" "existingSecret"
  | toJson -}}
{{- end -}}

{{- define "redcast.validate.config" -}}
{{- range $path, $value := include "redcast.ownConfig" . | fromJson }}
{{- $section := index (splitList "." $path) 0 }}
{{- $key := index (splitList "." $path) 1 }}
{{- if hasKey (get $.Values.config $section | default dict) $key }}
config.{{ $path }}: set {{ $value }} instead, from which the chart sets it
{{- end }}
{{- end }}
{{- $forward := (.Values.config.auth | default dict).forward_url | default "" }}
{{- if contains "@" $forward }}
config.auth.forward_url: a user or a password in it is not sent, and the gateway refuses to start; leave it out
{{- end }}
{{- $own := include "redcast.ownEnv" . | fromJson }}
{{- $named := keys .Values.env }}
{{- range .Values.extraEnv }}{{ $named = append $named .name }}{{ end }}
{{- range $named | uniq | sortAlpha }}
{{- if hasKey $own . }}
env.{{ . }}: the chart sets it itself; change the value that it is made of
{{- end }}
{{- end }}
{{- end -}}

{{- define "redcast.validate.drain" -}}
{{- $needed := include "redcast.graceSeconds" . | int -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if and (not (kindIs "invalid" $given)) (lt (int $given) $needed) }}
terminationGracePeriodSeconds: {{ int $given }} is too short; a pod needs {{ $needed }} to drain (drain: {{ .Values.drain.preStopSeconds }} preStop + {{ .Values.drain.acceptSeconds }} accept + {{ .Values.drain.windowSeconds }} window + {{ .Values.drain.marginSeconds }} margin), or it is killed with clients on it
{{- end }}
{{- if le (int .Values.progressDeadlineSeconds) (int .Values.minReadySeconds) }}
progressDeadlineSeconds: {{ .Values.progressDeadlineSeconds }} is over before a pod counts as available, which takes minReadySeconds, {{ .Values.minReadySeconds }}
{{- end }}
{{- end -}}

{{- define "redcast.validate.scale" -}}
{{- $scale := .Values.autoscaling -}}
{{- $keda := eq $scale.engine "keda" -}}
{{- if $scale.enabled }}
{{- if not (kindIs "invalid" .Values.replicaCount) }}
replicaCount: {{ .Values.replicaCount }} is set and autoscaling.enabled is true; the autoscaler decides how many there are. Remove replicaCount, or set autoscaling.minReplicas
{{- end }}
{{- if gt (int $scale.minReplicas) (int $scale.maxReplicas) }}
autoscaling.minReplicas: {{ $scale.minReplicas }} is more than maxReplicas, {{ $scale.maxReplicas }}
{{- end }}
{{- if not (or $scale.connectionsPerPod $scale.cpu $scale.memory (ternary $scale.keda.triggers $scale.customMetrics $keda)) }}
autoscaling: nothing to scale by; set autoscaling.connectionsPerPod
{{- end }}
{{- $limit := (.Values.config.limits | default dict).max_connections | default 0 | int }}
{{- if and $limit $scale.connectionsPerPod (ge (int $scale.connectionsPerPod) $limit) }}
autoscaling.connectionsPerPod: {{ int $scale.connectionsPerPod }} is never exceeded, because config.limits.max_connections is {{ $limit }}; set it lower
{{- end }}
{{- if and $keda $scale.connectionsPerPod (not $scale.keda.serverAddress) }}
autoscaling.keda.serverAddress: must be set, the URL of Prometheus
{{- end }}
{{- range $resource := list "cpu" "memory" }}
{{- if and (get $scale $resource) (not (get ($.Values.resources.requests | default dict) $resource)) }}
autoscaling.{{ $resource }}: is a share of resources.requests.{{ $resource }}, which is not set
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "redcast.validate.routes" -}}
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
{{- $ping := (.Values.config.keepalive | default dict).ping_every | default "30s" }}
{{- if regexMatch "^[0-9]+s$" $ping }}
{{- if le (int $ingress.idleTimeoutSeconds) (trimSuffix "s" $ping | int) }}
ingress.idleTimeoutSeconds: {{ $ingress.idleTimeoutSeconds }} would end connections between two pings (config.keepalive.ping_every is {{ $ping }})
{{- end }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
httpRoute.parentRefs: must be set, the Gateways that the route belongs to
{{- end }}
{{- if and .Values.service.nodePort (eq .Values.service.type "ClusterIP") }}
service.nodePort: a Service of type ClusterIP has none; set service.type
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
{{- end -}}
