{{- define "redcast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 50 characters leave room for the suffixes of names, which end at 63. */}}
{{- define "redcast.fullname" -}}
{{- $name := include "redcast.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The component keeps the pod of `helm test` out of Services and budgets. */}}
{{- define "redcast.selectorLabels" -}}
app.kubernetes.io/name: {{ include "redcast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/* What every object has, whatever its component. */}}
{{- define "redcast.commonLabels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "redcast.labels" -}}
{{ include "redcast.commonLabels" . }}
{{ include "redcast.selectorLabels" . }}
{{- end -}}

{{- define "redcast.testLabels" -}}
{{ include "redcast.commonLabels" . }}
app.kubernetes.io/name: {{ include "redcast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end -}}

{{- define "redcast.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "redcast.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "redcast.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if .Values.image.digest -}}
@{{ .Values.image.digest }}
{{- else -}}
:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "redcast.imagePullSecrets" -}}
{{- $names := concat .Values.global.imagePullSecrets .Values.imagePullSecrets | uniq -}}
{{- if $names }}
imagePullSecrets:
  {{- range $names }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* From deletion to the last connection given back. */}}
{{- define "redcast.drainSeconds" -}}
{{- add .Values.drain.preStopSeconds .Values.drain.acceptSeconds .Values.drain.windowSeconds -}}
{{- end -}}

{{/* What a pod needs to end in peace. */}}
{{- define "redcast.graceSeconds" -}}
{{- add (include "redcast.drainSeconds" . | int) .Values.drain.marginSeconds -}}
{{- end -}}
