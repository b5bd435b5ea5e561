{{/* What all pods and containers have in common. */}}

{{- define "plaza.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "plaza.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Beginning of every pod's spec: list ROOT ACCOUNT. Service links would set PLAZA_… variables of their own. */}}
{{- define "plaza.podBase" -}}
serviceAccountName: {{ index . 1 }}
enableServiceLinks: false
securityContext:
  {{- include "plaza.podSecurity" . | nindent 2 }}
{{- with (index . 0).Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where pods of one component are put: list ROOT COMPONENT PODS. */}}
{{- define "plaza.placement" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "plaza.selector" $ | nindent 8 }}
  {{- end }}
{{- with (index . 2).nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 2).tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 2).priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Variables that name the peers of a component: list ROOT NAMES. With the namespace, for the operator passes them
     on to workers in others. */}}
{{- define "plaza.addresses" -}}
{{- $root := index . 0 }}
{{- range index . 1 }}
- name: PLAZA_{{ . | upper | replace "-" "_" }}_ADDRESS
  value: dns:///{{ include "plaza.name" (list $root .) }}.{{ $root.Release.Namespace }}.svc:50051
{{- end }}
{{- end }}

{{/* Variables of every process: list ROOT. */}}
{{- define "plaza.processEnv" -}}
{{- $values := (index . 0).Values }}
- {name: PLAZA_LOG_LEVEL, value: {{ $values.logLevel }}}
{{- with $values.monitoring.otlpEndpoint }}
- {name: PLAZA_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- if $values.trustedCa.configMap }}
- {name: SSL_CERT_FILE, value: /ca/ca.crt}
{{- end }}
{{- end }}

{{/* Who the issuer is, and the way there: list ROOT. */}}
{{- define "plaza.issuerEnv" -}}
{{- $keycloak := (index . 0).Values.keycloak }}
- {name: PLAZA_ISSUER, value: {{ $keycloak.issuer | quote }}}
{{- with $keycloak.connect }}
- {name: PLAZA_ISSUER_CONNECT, value: {{ . | quote }}}
{{- end }}
{{- end }}

{{- define "plaza.tlsEnv" -}}
{{- if ne (index . 0).Values.tls.mode "none" }}
- {name: PLAZA_TLS_CERT_FILE, value: /tls/tls.crt}
- {name: PLAZA_TLS_KEY_FILE, value: /tls/tls.key}
- {name: PLAZA_TLS_CA_FILE, value: /tls/ca.crt}
{{- end }}
{{- end }}

{{/* Departments' workers call ingestion: it gets their authority's certificates, and no key. ROOT. */}}
{{- define "plaza.workersVolume" -}}
- name: workers-ca
  secret:
    secretName: {{ include "plaza.workersAuthoritySecret" . }}
    # Ingestion serves without it too; until it is there, no worker is let in.
    optional: true
    defaultMode: 0440
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}

{{/* Mounts and volumes of every pod: list ROOT COMPONENT (TLS only for those that have a certificate). */}}
{{- define "plaza.mounts" -}}
- {name: cache, mountPath: /cache}
{{- if (index . 0).Values.trustedCa.configMap }}
- {name: ca, mountPath: /ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "plaza.volumes" -}}
{{- $ca := (index . 0).Values.trustedCa }}
- name: cache
  emptyDir: {sizeLimit: {{ index . 1 }}}
{{- if $ca.configMap }}
- name: ca
  configMap:
    name: {{ $ca.configMap }}
    items: [{key: {{ $ca.key | quote }}, path: ca.crt}]
{{- end }}
{{- end }}

{{- define "plaza.tlsMount" -}}
{{- if ne (index . 0).Values.tls.mode "none" }}
- {name: tls, mountPath: /tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "plaza.tlsVolume" -}}
{{- if ne (index . 0).Values.tls.mode "none" }}
- name: tls
  secret:
    secretName: {{ include "plaza.tlsSecret" . }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* A rolling update never has fewer pods than before. */}}
{{- define "plaza.strategy" -}}
type: RollingUpdate
rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
{{- end }}
