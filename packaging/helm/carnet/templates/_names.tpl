{{/* The release, and the chart's name where the release's does not say it. */}}
{{- define "carnet.name" -}}
{{- if contains "carnet" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-carnet" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What tells this release's pods from all others. */}}
{{- define "carnet.selector" -}}
app.kubernetes.io/name: carnet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "carnet.labels" -}}
{{ include "carnet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "carnet.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* How the probes ask: by a name that the listener has, over TLS where it speaks that. */}}
{{- define "carnet.probe" -}}
port: data
{{- if .Values.tls.secret }}
scheme: HTTPS
{{- end }}
httpHeaders:
  - name: Host
    value: {{ .Values.host | quote }}
{{- end -}}
