{{/*
What is known of the gateway's settings while values are judged, wherever they are set.
A Secret of somebody else's, and what `envFrom` brings, no template can see.
*/}}

{{/* Variables by name; one with `valueFrom` is there without a text. */}}
{{- define "redcast.variables" -}}
{{- $variables := dict -}}
{{- range .Values.extraEnv }}{{ $_ := set $variables .name (.value | default "") }}{{ end -}}
{{- range $name, $value := .Values.env }}{{ $_ := set $variables $name $value }}{{ end -}}
{{- toJson $variables -}}
{{- end -}}

{{/* The text of a setting, (list root section key default); a variable wins over config. */}}
{{- define "redcast.setting" -}}
{{- $root := index . 0 -}}
{{- $section := get ($root.Values.config | default dict) (index . 1) | default dict -}}
{{- $name := printf "REDCAST_%s__%s" (index . 1) (index . 2) | upper -}}
{{- $variables := include "redcast.variables" $root | fromJson -}}
{{- $value := get $section (index . 2) | default (index . 3) -}}
{{- if hasKey $variables $name }}{{ $value = get $variables $name }}{{ end -}}
{{- kindIs "string" $value | ternary $value (toJson $value) -}}
{{- end -}}

{{/* A duration's milliseconds; nothing for one that is written in another way. */}}
{{- define "redcast.milliseconds" -}}
{{- if regexMatch "^([0-9]+(ms|s|m|h) *)+$" . -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 -}}
{{- $number := regexFind "^[0-9]+" . -}}
{{- $sum = get $units (trimPrefix $number .) | mul (atoi $number) | add $sum -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
{{- end -}}

{{/* The Redis URLs that stand in the values. */}}
{{- define "redcast.knownUrls" -}}
{{- list (include "redcast.redisUrl" .) | concat .Values.redis.nodes | compact | toJson -}}
{{- end -}}

{{/* The ports that those lead to. Where sentinels send a gateway is not known. */}}
{{- define "redcast.knownPorts" -}}
{{- $ports := list -}}
{{- range $url := include "redcast.knownUrls" . | fromJsonArray -}}
{{- if not (contains "unix://" $url) -}}
{{- $usual := contains "+sentinel://" $url | ternary "26379" "6379" -}}
{{- $hosts := regexReplaceAll "^[a-z+]+://(.*@)?([^/?#]*).*$" $url "${2}" -}}
{{- range splitList "," $hosts -}}
{{- $ports = regexFind ":[0-9]+$" . | trimPrefix ":" | default $usual | append $ports -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end -}}

{{/* What names the service that admits handshakes. */}}
{{- define "redcast.forwardAuth" -}}
{{- $set := list -}}
{{- if .Values.existingSecretKeys.forwardAuthUrl }}{{ $set = append $set "existingSecretKeys.forwardAuthUrl" }}{{ end -}}
{{- if .Values.secrets.forwardAuthUrl }}{{ $set = append $set "secrets.forwardAuthUrl" }}{{ end -}}
{{- if get (get (.Values.config | default dict) "auth" | default dict) "forward_url" }}{{ $set = append $set "config.auth.forward_url" }}{{ end -}}
{{- range $name := include "redcast.variables" . | fromJson | keys | sortAlpha -}}
{{- if has $name (list "REDCAST_AUTH__FORWARD_URL" "REDCAST_AUTH__FORWARD_URL_FILE") }}{{ $set = append $set (print "extraEnv." $name) }}{{ end -}}
{{- end -}}
{{- toJson $set -}}
{{- end -}}
