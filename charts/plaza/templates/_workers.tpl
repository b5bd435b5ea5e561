{{/* What the operator tells the departments' workers. */}}

{{/* Egress rules to ingestion, the issuer and the storage, as YAML: ROOT. The policies stand in the departments'
     namespaces, where a peer without a namespace would mean the department's own. */}}
{{- define "plaza.workerEgress" -}}
{{- $root := . }}
{{- $here := dict "matchLabels" (dict "kubernetes.io/metadata.name" .Release.Namespace) }}
- ports: [{port: 50051, protocol: TCP}]
  to:
    - namespaceSelector: {{ $here | toJson }}
      podSelector:
        matchLabels:
          {{- include "plaza.selector" (list . "ingestion") | nindent 10 }}
{{- range list "keycloak" "s3" }}
{{- $place := get $root.Values.networkPolicy . }}
- ports:
    {{- range $place.ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- if $place.to }}
  to:
    {{- range $place.to }}
    {{- if and .podSelector (not .namespaceSelector) }}
    - {{ merge (dict "namespaceSelector" $here) . | toJson }}
    {{- else }}
    - {{ . | toJson }}
    {{- end }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "plaza.workerEnv" -}}
PLAZA_LOG_LEVEL: {{ .Values.logLevel }}
{{- with .Values.keycloak.connect }}
PLAZA_ISSUER_CONNECT: {{ . | quote }}
{{- end }}
{{- with .Values.monitoring.otlpEndpoint }}
PLAZA_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- end }}
