{{/* The services that have a schema, as JSON; the lake's owner and its readers are among them. */}}
{{- define "plaza-dev.services" -}}
{{ list "security" "catalogue" "ingestion" "quality" "sharing" "open-data" | toJson }}
{{- end }}

{{/* PostgreSQL role and schema of a service. */}}
{{- define "plaza-dev.role" -}}
{{ replace "-" "_" . }}
{{- end }}
