{{/* What selects the pods of a part: (list . COMPONENT [NAME]) */}}
{{- define "tidegate.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ if gt (len .) 2 }}{{ index . 2 }}{{ else }}tidegate{{ end }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* What everything is labelled with: the same, and Helm's own. */}}
{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
{{ include "tidegate.helm" (index . 0) }}
{{- end }}

{{- define "tidegate.helm" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Of whatever belongs to this release. */}}
{{- define "tidegate.instance" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tidegate.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "tidegate.pod-security" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tidegate.pull-secrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tidegate.probes" -}}
startupProbe:
  httpGet: { path: /healthz, port: probes }
  periodSeconds: 1
  failureThreshold: 30
livenessProbe:
  httpGet: { path: /healthz, port: probes }
  periodSeconds: 10
  timeoutSeconds: 3
readinessProbe:
  httpGet: { path: /readyz, port: probes }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{/* Where gate and service send their traces. */}}
{{- define "tidegate.traces" -}}
{{- if .Values.collector.enabled }}http://otel-collector:4317{{ else if .Values.jaeger.enabled }}http://jaeger:4317{{ end }}
{{- end }}

{{- define "tidegate.websocket" -}}
{{- if or .Values.ingress.enabled .Values.gatewayApi.enabled }}true{{ end }}
{{- end }}

{{- define "tidegate.tls-secret" -}}
{{ .Values.tls.existingSecret | default "tidegate-tls" }}
{{- end }}

{{/* The Gateway that routes belong to. */}}
{{- define "tidegate.gateway" -}}
{{- with .Values.gatewayApi.shared -}}
{{- if .name }}name: {{ .name }}, namespace: {{ required "gatewayApi.shared.namespace" .namespace }}{{ else }}name: tidegate{{ end }}
{{- end }}
{{- end }}

{{/* A name with a hash of what is in it, so that a change is rolled out: (list NAME TEXT) */}}
{{- define "tidegate.hashed" -}}
{{ index . 0 }}-{{ index . 1 | sha256sum | trunc 10 }}
{{- end }}

{{- define "tidegate.gate-config" -}}
{{ .Values.gate.config | default (.Files.Get "files/tidegate.toml") }}
{{- end }}
{{- define "tidegate.gate-config-name" -}}
{{ include "tidegate.hashed" (list "tidegate-config" (include "tidegate.gate-config" .)) }}
{{- end }}
{{- define "tidegate.broker-config" -}}
{{ .Values.broker.config | default (.Files.Get "files/mosquitto.conf") }}
{{- end }}
{{- define "tidegate.broker-config-name" -}}
{{ include "tidegate.hashed" (list "broker-config" (include "tidegate.broker-config" .)) }}
{{- end }}
{{- define "tidegate.authz-config" -}}
{{ .Values.authz.config | default (.Files.Get "files/authz.toml") }}
{{- end }}
{{- define "tidegate.authz-config-name" -}}
{{ include "tidegate.hashed" (list "tidegate-authz-config" (include "tidegate.authz-config" .)) }}
{{- end }}
{{- define "tidegate.collector-config-name" -}}
{{ include "tidegate.hashed" (list "otel-collector-config" (.Files.Get "files/collector.yaml")) }}
{{- end }}
{{- define "tidegate.users-secret" -}}
{{- if .Values.tryOut }}{{ include "tidegate.hashed" (list "tidegate-authz-users" (.Files.Get "files/users.passwd")) }}{{ else }}{{ .Values.authz.usersSecret }}{{ end }}
{{- end }}
{{- define "tidegate.session-secret" -}}
{{- if .Values.tryOut }}{{ include "tidegate.hashed" (list "tidegate-authz-session" (.Files.Get "files/session.key")) }}{{ else }}{{ .Values.authz.sessionSecret }}{{ end }}
{{- end }}
