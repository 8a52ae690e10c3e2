{{/* The head of what Prometheus and Grafana get: (list root values name). */}}
{{- define "redcast.observed" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
metadata:
  name: {{ index . 2 | quote }}
  namespace: {{ default $root.Release.Namespace $values.namespace | quote }}
  labels:
    {{- include "redcast.labelsWith" (list $root $values.labels) | nindent 4 }}
  {{- with $values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* One endpoint of a ServiceMonitor or a PodMonitor; both call the port by its name. */}}
{{- define "redcast.scrape" -}}
- port: admin
  path: /metrics
  {{- with .interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  relabelings:
    # Alerts and dashboards ask for this job, whatever the release is called.
    - action: replace
      targetLabel: job
      replacement: redcast
    {{- with .relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
