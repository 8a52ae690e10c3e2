{{/*
What ingress controllers want to hear, as annotations: of the Service
(redcast.serviceAnnotations) or of the Ingress (redcast.ingressAnnotations). Which of the
two a controller reads is part of what has to be right.
*/}}
{{- define "redcast.serviceAnnotations" -}}
{{- $ingress := .Values.ingress -}}
{{- $sticky := $ingress.sticky -}}
{{- $made := dict -}}
{{- if and $ingress.enabled (eq $ingress.controller "traefik") $sticky.enabled -}}
{{- $cookie := "traefik.ingress.kubernetes.io/service.sticky.cookie" -}}
{{- $_ := set $made $cookie "true" -}}
{{- $_ := set $made (print $cookie ".name") $sticky.cookieName -}}
{{- $_ := set $made (print $cookie ".httponly") "true" -}}
{{- $_ := set $made (print $cookie ".secure") (toJson $sticky.secure) -}}
{{- $_ := set $made (print $cookie ".samesite") $sticky.sameSite -}}
{{- $_ := set $made (print $cookie ".maxage") (toJson $sticky.maxAgeSeconds) -}}
{{- else if and $ingress.enabled (eq $ingress.controller "haproxy") -}}
{{- $_ := set $made "haproxy.org/load-balance" "leastconn" -}}
{{- $_ := set $made "haproxy.org/timeout-server" (printf "%ds" (int $ingress.idleTimeoutSeconds)) -}}
{{- if $sticky.enabled -}}
{{- $_ := set $made "haproxy.org/cookie-persistence" $sticky.cookieName -}}
{{- end -}}
{{- end -}}
{{- with mergeOverwrite $made .Values.service.annotations }}
{{- toYaml . }}
{{- end -}}
{{- end -}}

{{- define "redcast.albAnnotations" -}}
{{- $sticky := .Values.ingress.sticky -}}
{{- $group := list
  "load_balancing.algorithm.type=least_outstanding_requests"
  (printf "deregistration_delay.timeout_seconds=%s" (include "redcast.drainSeconds" .))
-}}
{{- if $sticky.enabled -}}
{{- $group = concat $group (list
  "stickiness.enabled=true"
  "stickiness.type=lb_cookie"
  (printf "stickiness.lb_cookie.duration_seconds=%d" (int $sticky.maxAgeSeconds))) -}}
{{- end -}}
{{- dict
  "target-type" "ip"
  "healthcheck-path" "/readyz"
  "healthcheck-port" (toJson .Values.admin.port)
  "target-group-attributes" (join "," $group)
  "load-balancer-attributes" (printf "idle_timeout.timeout_seconds=%d" (int .Values.ingress.idleTimeoutSeconds))
  | toJson -}}
{{- end -}}

{{- define "redcast.nginxAnnotations" -}}
{{- $ingress := .Values.ingress -}}
{{- $sticky := $ingress.sticky -}}
{{- $made := dict
  "proxy-read-timeout" (toJson $ingress.idleTimeoutSeconds)
  "proxy-send-timeout" (toJson $ingress.idleTimeoutSeconds)
-}}
{{- if $sticky.enabled -}}
{{- $made = merge $made (dict
  "affinity" "cookie"
  "affinity-mode" "balanced"
  "session-cookie-name" $sticky.cookieName
  "session-cookie-max-age" (toJson $sticky.maxAgeSeconds)
  "session-cookie-expires" (toJson $sticky.maxAgeSeconds)
  "session-cookie-samesite" (title $sticky.sameSite)
  "session-cookie-secure" (toJson $sticky.secure)
  "session-cookie-change-on-failure" "true") -}}
{{- end -}}
{{- toJson $made -}}
{{- end -}}

{{- define "redcast.ingressAnnotations" -}}
{{- $controller := .Values.ingress.controller -}}
{{- $made := dict -}}
{{- if eq $controller "alb" -}}
{{- range $key, $value := include "redcast.albAnnotations" . | fromJson -}}
{{- $_ := set $made (print "alb.ingress.kubernetes.io/" $key) $value -}}
{{- end -}}
{{- else if eq $controller "nginx" -}}
{{- range $key, $value := include "redcast.nginxAnnotations" . | fromJson -}}
{{- $_ := set $made (print "nginx.ingress.kubernetes.io/" $key) $value -}}
{{- end -}}
{{- end -}}
{{- with mergeOverwrite $made .Values.ingress.annotations }}
{{- toYaml . }}
{{- end -}}
{{- end -}}
