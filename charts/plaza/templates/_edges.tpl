{{/* Services behind a face of the gateway, as a JSON list. */}}
{{- define "plaza.behind" -}}
{{- if eq . "public" -}}
["catalogue", "open-data", "security"]
{{- else -}}
["catalogue", "ingestion", "open-data", "quality", "security", "sharing"]
{{- end -}}
{{- end }}

{{/* All that call services by gRPC, with whom they call, as YAML: ROOT. */}}
{{- define "plaza.callers" -}}
{{- range $name, $needs := .Files.Get "files/components.yaml" | fromYaml }}
{{ $name }}: {{ $needs.peers | toJson }}
{{- end }}
{{- range $face, $own := pick .Values.gateway "public" "internal" }}
{{- if $own.enabled }}
gateway-{{ $face }}: {{ include "plaza.behind" $face }}
{{- end }}
{{- end }}
{{- if .Values.operator.enabled }}
operator: ["catalogue", "ingestion"]
{{- end }}
{{- end }}

{{/* Components whose pods come from Deployments of this chart that may have several replicas, as YAML of their
     settings: ROOT. */}}
{{- define "plaza.replicated" -}}
{{- $root := . }}
{{- range $name, $needs := .Files.Get "files/components.yaml" | fromYaml }}
{{ $name }}:
  {{- include "plaza.pods" (list $root (get $root.Values.services $name)) | nindent 2 }}
{{- end }}
{{- range $face, $own := pick .Values.gateway "public" "internal" }}
{{- if $own.enabled }}
gateway-{{ $face }}:
  {{- include "plaza.pods" (list $root $own.pods) | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
