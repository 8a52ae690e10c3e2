{{/* Judges of what the gateway is told: Redis, secrets, variables, configuration. */}}
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
{{- range $name := include "redcast.variables" . | fromJson | keys | sortAlpha }}
{{- if regexMatch "^REDCAST_REDIS__(URL|NODES)(_FILE)?$" $name }}{{ $set = append $set (print "extraEnv." $name) }}{{ end }}
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
{{- $plain := false -}}
{{- range include "redcast.knownUrls" . | fromJsonArray }}
{{- if not (hasPrefix "rediss" .) }}{{ $plain = true }}{{ end }}
{{- end -}}
{{- $known := include "redcast.knownUrls" . | fromJsonArray -}}
{{- if and $redis.tls.enabled (or $plain (not $known)) }}
redis.tls.enabled: is for sentinel.hosts and cluster.hosts; a URL asks for TLS itself. Write rediss:// in it and leave this out
{{- end }}
{{- if and $plain (not $redis.tls.enabled) (or $redis.tls.caSecret $redis.tls.clientSecret) }}
redis.tls: certificates are given, and Redis is reached without TLS; write rediss:// in the URL, or for sentinel.hosts and cluster.hosts set redis.tls.enabled
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

{{/* Secret settings as variables with the values that take them to a file. */}}
{{- define "redcast.secretVariables" -}}
{{- dict
  "REDCAST_REDIS__URL" "redis.existingSecret"
  "REDCAST_REDIS__NODES" "redis.existingSecret"
  "REDCAST_REDIS__SENTINEL_PASSWORD" "redis.existingSecret"
  "REDCAST_API__KEY" "existingSecret"
  "REDCAST_AUTH__FORWARD_URL" "existingSecret"
  | toJson -}}
{{- end -}}

{{- define "redcast.validate.env" -}}
{{- $own := include "redcast.ownEnv" . | fromJson -}}
{{- $secret := include "redcast.secretVariables" . | fromJson -}}
{{- $literal := keys .Values.env -}}
{{- $named := keys .Values.env -}}
{{- range .Values.extraEnv -}}
{{- if has .name $named }}
extraEnv.{{ .name }}: is set twice; leave one
{{- end }}
{{- $named = append $named .name -}}
{{- if not .valueFrom }}{{ $literal = append $literal .name }}{{ end -}}
{{- end -}}
{{- range $named | uniq | sortAlpha }}
{{- if hasKey $own . }}
env.{{ . }}: the chart sets it itself; change the value that it is made of
{{- end }}
{{- if and (hasKey $secret .) (has . $literal) }}
env.{{ . }}: would stand in the Deployment for all to read; put it into a Secret of yours and set {{ get $secret . }}
{{- else if and (hasKey $secret .) (hasKey $own (print . "_FILE")) }}
extraEnv.{{ . }}: the chart has a file for it, from {{ get $secret . }}; leave one
{{- end }}
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
{{- $config := .Values.config | default dict -}}
{{- range $path, $value := include "redcast.ownConfig" . | fromJson }}
{{- $section := index (splitList "." $path) 0 }}
{{- $key := index (splitList "." $path) 1 }}
{{- if hasKey (get $config $section | default dict) $key }}
config.{{ $path }}: set {{ $value }} instead, from which the chart sets it
{{- end }}
{{- end }}
{{- $forward := (get $config "auth" | default dict).forward_url | default "" }}
{{- if contains "@" $forward }}
config.auth.forward_url: a user or a password in it is not sent, and the gateway refuses to start; leave it out
{{- end }}
{{- $asked := include "redcast.forwardAuth" . | fromJsonArray }}
{{- if gt (len $asked) 1 }}
auth: {{ join ", " $asked }} are set; leave one
{{- end }}
{{- $headers := include "redcast.setting" (list . "auth" "forward_headers" "authorization,cookie") | lower }}
{{- if and $asked (not $config.endpoints) (regexMatch "(^|[^a-z-])cookie($|[^a-z-])" $headers) }}
{{ first $asked }}: the built-in endpoint lets any page connect with its visitors' cookies, and the gateway would refuse to start; set config.endpoints with allowed_origins, or config.auth.forward_headers without cookie
{{- end }}
{{- end -}}
