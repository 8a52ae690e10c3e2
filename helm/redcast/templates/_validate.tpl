{{/*
Values that the schema can't judge, because two of them don't go together. All mistakes
are told at once, each in a sentence that says what to do. The judges of settings stand in
_validate_settings.tpl, those of what surrounds the pods in _validate_around.tpl.
*/}}
{{- define "redcast.validate" -}}
{{- $wrong := list -}}
{{- range $judge := list "names" "redis" "secrets" "env" "config" "drain" "update" "scale" "ingress" "service" "network" "metrics" "tests" -}}
{{- $said := include (print "redcast.validate." $judge) $ -}}
{{- range splitList "\n" $said -}}
{{- with trim . }}{{ $wrong = append $wrong (print "  - " .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\nThese values can't be used:\n%s\n" (join "\n" $wrong)) -}}
{{- end -}}
{{- end -}}

{{- define "redcast.validate.names" -}}
{{- $name := include "redcast.fullname" . -}}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" $name) }}
fullnameOverride: must be set, because a Service can't be called {{ $name }}, as the release would have it
{{- end }}
{{- end -}}

{{- define "redcast.validate.drain" -}}
{{- $needed := include "redcast.graceSeconds" . | int -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if and (not (kindIs "invalid" $given)) (lt (int $given) $needed) }}
terminationGracePeriodSeconds: {{ int $given }} is too short; a pod needs {{ $needed }} to drain (drain: {{ .Values.drain.preStopSeconds }} preStop + {{ .Values.drain.acceptSeconds }} accept + {{ .Values.drain.windowSeconds }} window + {{ .Values.drain.marginSeconds }} margin), or it is killed with clients on it
{{- end }}
{{- $rule := .Values.metrics.prometheusRule -}}
{{- $draining := add .Values.drain.acceptSeconds .Values.drain.windowSeconds -}}
{{- if and $rule.enabled (ge $draining 600) (not (has "RedcastDrainStuck" $rule.disabled)) }}
drain: {{ $draining }} s are longer than the 600 s after which RedcastDrainStuck calls somebody; put it into metrics.prometheusRule.disabled, and one of yours into additionalGroups
{{- end }}
{{- end -}}

{{- define "redcast.validate.update" -}}
{{- if le (int .Values.progressDeadlineSeconds) (int .Values.minReadySeconds) }}
progressDeadlineSeconds: {{ .Values.progressDeadlineSeconds }} is over before a pod counts as available, which takes minReadySeconds, {{ .Values.minReadySeconds }}
{{- end }}
{{- $steps := .Values.strategy.rollingUpdate | default dict -}}
{{- if and (eq .Values.strategy.type "RollingUpdate") (hasKey $steps "maxSurge") (hasKey $steps "maxUnavailable") }}
{{- $surge := toString $steps.maxSurge | trimSuffix "%" -}}
{{- $gone := toString $steps.maxUnavailable | trimSuffix "%" -}}
{{- if and (eq $surge "0") (eq $gone "0") }}
strategy.rollingUpdate: maxSurge and maxUnavailable are both 0, so no pod could be replaced; set maxSurge to 1
{{- end }}
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
{{- $limit := include "redcast.setting" (list . "limits" "max_connections" 0) | int }}
{{- if and $limit $scale.connectionsPerPod (ge (int $scale.connectionsPerPod) $limit) }}
autoscaling.connectionsPerPod: {{ int $scale.connectionsPerPod }} is never exceeded, because limits.max_connections is {{ $limit }}; set it lower
{{- end }}
{{- if and $keda $scale.connectionsPerPod (not $scale.keda.serverAddress) }}
autoscaling.keda.serverAddress: must be set, the URL of Prometheus
{{- end }}
{{- if and $keda $scale.customMetrics }}
autoscaling.customMetrics: KEDA takes none; write them as autoscaling.keda.triggers
{{- end }}
{{- if and $keda (ne $scale.metricName "redcast_connections") }}
autoscaling.metricName: KEDA asks Prometheus itself; set autoscaling.keda.query
{{- end }}
{{- if and (not $keda) $scale.keda.triggers }}
autoscaling.keda.triggers: are KEDA's; set autoscaling.engine to keda, or write them as autoscaling.customMetrics
{{- end }}
{{- range $resource := list "cpu" "memory" }}
{{- if and (get $scale $resource) (not (get ($.Values.resources.requests | default dict) $resource)) }}
autoscaling.{{ $resource }}: is a share of resources.requests.{{ $resource }}, which is not set
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "redcast.validate.tests" -}}
{{- $tests := .Values.tests -}}
{{- if and $tests.enabled (ge (mul 2 $tests.settleSeconds) (int64 $tests.timeoutSeconds)) }}
tests.timeoutSeconds: {{ $tests.timeoutSeconds }} is too short; clients wait half of it, and the event comes after settleSeconds, {{ $tests.settleSeconds }}
{{- end }}
{{- end -}}
