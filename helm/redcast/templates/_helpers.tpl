{{- define "redcast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
46 characters leave room for the suffixes of names, and for the whole hash in the name of
a pod, which Kubernetes cuts at 58 before it adds five: KEDA's question goes by that.
*/}}
{{- define "redcast.fullname" -}}
{{- $name := include "redcast.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 46 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "redcast.selectorLabels" -}}
app.kubernetes.io/name: {{ include "redcast.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/* Each new version of the chart changes them: on objects, never on pods, which would restart. */}}
{{- define "redcast.chartLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Maps as one, (list map…), in which a key stands once: the first map that has it wins. */}}
{{- define "redcast.joined" -}}
{{- $joined := dict -}}
{{- range . }}{{ $joined = merge $joined (. | default dict) }}{{ end -}}
{{- with $joined }}{{ include "redcast.yaml" . }}{{ end -}}
{{- end -}}

{{/* Labels of an object with some of its own: (list root labels…). */}}
{{- define "redcast.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $selector := include "redcast.selectorLabels" $root | fromYaml -}}
{{- $chart := include "redcast.chartLabels" $root | fromYaml -}}
{{- concat (list $selector $chart) (rest .) (list $root.Values.commonLabels) | include "redcast.joined" -}}
{{- end -}}

{{- define "redcast.labels" -}}
{{- include "redcast.labelsWith" (list .) -}}
{{- end -}}

{{- define "redcast.podLabels" -}}
{{- $selector := include "redcast.selectorLabels" . | fromYaml -}}
{{- list $selector .Values.podLabels .Values.commonLabels | include "redcast.joined" -}}
{{- end -}}

{{/* Another component keeps the pod of `helm test` out of Services and budgets. */}}
{{- define "redcast.testLabels" -}}
{{- $selector := include "redcast.selectorLabels" . | fromYaml -}}
{{- $chart := include "redcast.chartLabels" . | fromYaml -}}
{{- $test := dict "app.kubernetes.io/component" "test" -}}
{{- list $test $selector $chart .Values.commonLabels | include "redcast.joined" -}}
{{- end -}}

{{/* toYaml answers nothing for what YAML can't hold, and an object would lack it. */}}
{{- define "redcast.yaml" -}}
{{- toYaml . | required "a value has a character that YAML can't hold, such as DEL" -}}
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
  - name: {{ . | quote }}
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
