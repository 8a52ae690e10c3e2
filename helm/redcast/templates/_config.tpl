{{/*
The configuration as TOML. toToml of Helm would write every number as a float, as YAML
brings them, and the gateway refuses 50.0 connections. Text in JSON is text in TOML.
*/}}
{{- define "redcast.toml.value" -}}
{{- $parts := list -}}
{{- if kindIs "map" . -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $parts = include "redcast.toml.value" $value | printf "%s = %s" (toJson $key) | append $parts -}}
{{- end -}}
{{- end -}}
{{- printf "{ %s }" (join ", " $parts) -}}
{{- else if kindIs "slice" . -}}
{{- range . -}}
{{- if not (kindIs "invalid" .) -}}
{{- $parts = include "redcast.toml.value" . | append $parts -}}
{{- end -}}
{{- end -}}
{{- printf "[%s]" (join ", " $parts) -}}
{{- else -}}
{{- /* JSON may hold DEL as it is, neither TOML nor YAML may. */ -}}
{{- toJson . | replace "\x7f" "\\u007f" -}}
{{- end -}}
{{- end -}}

{{- define "redcast.toml.pairs" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }} = {{ include "redcast.toml.value" $value }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "redcast.toml" -}}
# Made from the values of the chart.
{{- range $name, $section := .Values.config }}
{{- if kindIs "map" $section }}

[{{ $name }}]
{{- include "redcast.toml.pairs" $section }}
{{- else if kindIs "slice" $section }}
{{- range $section }}

[[{{ $name }}]]
{{- include "redcast.toml.pairs" . }}
{{- end }}
{{- end }}
{{- end }}
{{ end -}}

{{- define "redcast.redisUrl" -}}
{{- $redis := .Values.redis -}}
{{- $scheme := ternary "rediss" "redis" $redis.tls.enabled -}}
{{- if $redis.sentinel.hosts -}}
{{ $scheme }}+sentinel://{{ join "," $redis.sentinel.hosts }}/{{ $redis.sentinel.primary }}
{{- else if $redis.cluster.hosts -}}
{{ $scheme }}+cluster://{{ join "," $redis.cluster.hosts }}
{{- else -}}
{{ $redis.url }}
{{- end -}}
{{- end -}}

{{/* What the chart's own Secret holds: file name -> content. Nothing in it is invented. */}}
{{- define "redcast.ownSecret" -}}
{{- $data := dict -}}
{{- with include "redcast.redisUrl" . }}{{ $_ := set $data "redis-url" . }}{{ end -}}
{{- with .Values.redis.nodes }}{{ $_ := set $data "redis-nodes" (join "\n" .) }}{{ end -}}
{{- with .Values.secrets.apiKey }}{{ $_ := set $data "api-key" . }}{{ end -}}
{{- with .Values.secrets.forwardAuthUrl }}{{ $_ := set $data "forward-auth-url" . }}{{ end -}}
{{- toJson $data -}}
{{- end -}}

{{/* Every secret file of a pod: file name -> {secret, key}. */}}
{{- define "redcast.secretFiles" -}}
{{- $files := dict -}}
{{- $own := include "redcast.fullname" . -}}
{{- range $file := include "redcast.ownSecret" . | fromJson | keys }}
{{- $_ := set $files $file (dict "secret" $own "key" $file) }}
{{- end -}}
{{- $redis := .Values.redis -}}
{{- $wanted := list
  (list $redis.existingSecret $redis.existingSecretKeys.url "redis-url")
  (list $redis.existingSecret $redis.existingSecretKeys.nodes "redis-nodes")
  (list $redis.existingSecret $redis.existingSecretKeys.sentinelPassword "redis-sentinel-password")
  (list $redis.tls.caSecret $redis.tls.caKey "redis-ca.pem")
  (list $redis.tls.clientSecret $redis.tls.certKey "redis-client.pem")
  (list $redis.tls.clientSecret $redis.tls.privateKey "redis-client-key.pem")
  (list .Values.existingSecret .Values.existingSecretKeys.apiKey "api-key")
  (list .Values.existingSecret .Values.existingSecretKeys.forwardAuthUrl "forward-auth-url")
-}}
{{- range $wanted }}
{{- if and (index . 0) (index . 1) }}
{{- $_ := set $files (index . 2) (dict "secret" (index . 0) "key" (index . 1)) }}
{{- end }}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{- define "redcast.fileVariables" -}}
{{- dict
  "redis-url" "REDCAST_REDIS__URL_FILE"
  "redis-nodes" "REDCAST_REDIS__NODES_FILE"
  "redis-sentinel-password" "REDCAST_REDIS__SENTINEL_PASSWORD_FILE"
  "redis-ca.pem" "REDCAST_REDIS__TLS__CA_FILE"
  "redis-client.pem" "REDCAST_REDIS__TLS__CERT_FILE"
  "redis-client-key.pem" "REDCAST_REDIS__TLS__KEY_FILE"
  "api-key" "REDCAST_API__KEY_FILE"
  "forward-auth-url" "REDCAST_AUTH__FORWARD_URL_FILE"
  | toJson -}}
{{- end -}}

{{/* What the chart sets itself: variable -> text. */}}
{{- define "redcast.ownEnv" -}}
{{- $variables := include "redcast.fileVariables" . | fromJson -}}
{{- $env := dict
  "REDCAST_CONFIG" "/etc/redcast/redcast.toml"
  "REDCAST_HTTP__LISTEN" (printf "0.0.0.0:%d" (int .Values.service.containerPort))
  "REDCAST_ADMIN__LISTEN" (printf "0.0.0.0:%d" (int .Values.admin.port))
  "REDCAST_SHUTDOWN__ACCEPT_FOR" (printf "%ds" (int .Values.drain.acceptSeconds))
  "REDCAST_SHUTDOWN__WINDOW" (printf "%ds" (int .Values.drain.windowSeconds))
-}}
{{- with .Values.redis.prefix }}{{ $_ := set $env "REDCAST_REDIS__PREFIX" . }}{{ end -}}
{{- if .Values.redis.cluster.sharded }}{{ $_ := set $env "REDCAST_REDIS__SHARDED" "true" }}{{ end -}}
{{- range $file := include "redcast.secretFiles" . | fromJson | keys }}
{{- $_ := set $env (get $variables $file) (printf "/etc/redcast-secrets/%s" $file) }}
{{- end -}}
{{- toJson $env -}}
{{- end -}}

{{- define "redcast.env" -}}
{{- range $name, $value := include "redcast.ownEnv" . | fromJson }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "redcast.mounts" -}}
- name: config
  mountPath: /etc/redcast
  readOnly: true
- name: secrets
  mountPath: /etc/redcast-secrets
  readOnly: true
{{- end -}}

{{/* Whole folders: a mount of one file would not follow a change. */}}
{{- define "redcast.volumes" -}}
- name: config
  configMap:
    name: {{ include "redcast.fullname" . | quote }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $file, $from := include "redcast.secretFiles" . | fromJson }}
      - secret:
          name: {{ $from.secret | quote }}
          items:
            - key: {{ $from.key | quote }}
              path: {{ $file }}
      {{- end }}
{{- end -}}
