{{/* Names and labels. */}}

{{- define "plaza.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Of one component: list ROOT COMPONENT. */}}
{{- define "plaza.name" -}}
{{- printf "%s-%s" (include "plaza.fullname" (index . 0)) (index . 1) -}}
{{- end }}

{{/* What never changes of a component's labels: list ROOT COMPONENT. */}}
{{- define "plaza.selector" -}}
app.kubernetes.io/name: plaza
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* list ROOT COMPONENT. */}}
{{- define "plaza.labels" -}}
{{ include "plaza.selector" . }}
app.kubernetes.io/part-of: plaza
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Full name of an image: list ROOT NAME. */}}
{{- define "plaza.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- $own := default dict (get $image.overrides (index . 1)) -}}
{{- $repository := default (printf "plaza/%s" (index . 1)) $own.repository -}}
{{- $tag := default (default (index . 0).Chart.AppVersion $image.tag) $own.tag -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $repository -}}
{{- if $own.digest }}@{{ $own.digest }}{{ else }}:{{ $tag }}{{ end -}}
{{- end }}

{{/* Names of the objects with keys: of their own when the Job makes them, else those of security and gateway. */}}
{{- define "plaza.keysSecret" -}}
{{- default (include "plaza.name" (list . (ternary "keys" "security" .Values.keys.create))) .Values.keys.existingSecret -}}
{{- end }}
{{- define "plaza.trustConfigMap" -}}
{{- default (include "plaza.name" (list . "trust")) .Values.keys.trustConfigMap -}}
{{- end }}
{{- define "plaza.consoleSecret" -}}
{{- default (include "plaza.name" (list . (ternary "console" "gateway" .Values.keys.create))) .Values.keys.consoleSecret -}}
{{- end }}
{{/* With the keys of the storage: list ROOT PODS. */}}
{{- define "plaza.storageSecret" -}}
{{- $own := default (include "plaza.name" (list (index . 0) "storage")) (index . 0).Values.storage.existingSecret -}}
{{- default $own (index . 1).storageSecret -}}
{{- end }}
{{- define "plaza.tlsSecret" -}}
{{- $tls := (index . 0).Values.tls -}}
{{- default (printf "%s-tls" (include "plaza.name" .)) (ternary $tls.existingSecret "" (eq $tls.mode "secrets")) -}}
{{- end }}

{{/* Of all pods' authority, and of departments' workers'. */}}
{{- define "plaza.authoritySecret" -}}
{{- default (include "plaza.name" (list . "ca")) .Values.tls.authoritySecret -}}
{{- end }}
{{- define "plaza.workersAuthoritySecret" -}}
{{- default (include "plaza.name" (list . "workers-ca")) .Values.tls.workersAuthoritySecret -}}
{{- end }}
{{/* Whether workers show certificates: "true" or nothing. */}}
{{- define "plaza.workersTls" -}}
{{- if and .Values.operator.enabled (ne .Values.tls.mode "none") }}true{{ end -}}
{{- end }}
{{/* Whether the Job of the certificates has anything to do. */}}
{{- define "plaza.certificatesJob" -}}
{{- if or (eq .Values.tls.mode "own") (and (include "plaza.workersTls" .) (not .Values.tls.workersAuthoritySecret)) }}true{{ end -}}
{{- end }}

{{/* Names under which a component is called, as a JSON list: list ROOT COMPONENT. */}}
{{- define "plaza.hosts" -}}
{{- $full := include "plaza.name" . -}}
{{- $namespace := (index . 0).Release.Namespace -}}
{{- list $full (printf "%s.%s" $full $namespace) (printf "%s.%s.svc" $full $namespace) (printf "%s.%s.svc.cluster.local" $full $namespace) | toJson -}}
{{- end }}

{{/* A component's own settings over the defaults, as YAML: list ROOT OWN. */}}
{{- define "plaza.pods" -}}
{{- mergeOverwrite (deepCopy (index . 0).Values.defaults) (deepCopy (default dict (index . 1))) | toYaml -}}
{{- end }}
