{{/* Names, labels and what all pods have in common. */}}

{{- define "plaza-dev.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Argument: dict "root" $ "component" "postgres" */}}
{{- define "plaza-dev.name" -}}
{{ include "plaza-dev.fullname" .root }}-{{ .component }}
{{- end }}

{{/* What a Service, a StatefulSet and a NetworkPolicy find pods by. */}}
{{- define "plaza-dev.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "plaza-dev.labels" -}}
{{ include "plaza-dev.selector" . }}
app.kubernetes.io/part-of: plaza
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Name and labels of an object of a component. */}}
{{- define "plaza-dev.metadata" -}}
name: {{ include "plaza-dev.name" . }}
labels:
  {{- include "plaza-dev.labels" . | nindent 2 }}
{{- end }}

{{/* The start of every pod: restricted Pod Security. Also "uid", "gid". */}}
{{- define "plaza-dev.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .gid }}
  fsGroup: {{ .gid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Argument: whether the root file system is read-only. */}}
{{- define "plaza-dev.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: {{ . }}
  capabilities: {drop: [ALL]}
{{- end }}

{{/* A Service in front of a component: also "port", "portName". */}}
{{- define "plaza-dev.service" -}}
{{- $service := (index .root.Values .component).service -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "plaza-dev.metadata" . | nindent 2 }}
spec:
  type: {{ $service.type }}
  selector:
    {{- include "plaza-dev.selector" . | nindent 4 }}
  ports:
    - name: {{ .portName }}
      port: {{ .port }}
      targetPort: {{ .portName }}
      {{- with $service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
{{- end }}

{{/* The volume of a StatefulSet. */}}
{{- define "plaza-dev.volumeClaims" -}}
- metadata:
    name: data
    labels:
      {{- include "plaza-dev.selector" . | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .root.Values.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests: {storage: {{ (index .root.Values .component).storage }}}
{{- end }}

{{- define "plaza-dev.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}
{{- end }}

{{/* The address by which everybody, browsers too, must know Keycloak. */}}
{{- define "plaza-dev.keycloakUrl" -}}
{{- .Values.keycloak.hostname | default (printf "http://%s-keycloak.%s.svc:8080" (include "plaza-dev.fullname" .) .Release.Namespace) -}}
{{- end }}
