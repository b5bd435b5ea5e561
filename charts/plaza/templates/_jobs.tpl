{{/* Pods of the Jobs: their names carry a hash of them, for a Job cannot be changed. ROOT. */}}

{{- define "plaza.migrate" }}
{{- $root := . }}
{{- include "plaza.podBase" (list $root (include "plaza.name" (list $root "migrate"))) }}
automountServiceAccountToken: false
restartPolicy: OnFailure
containers:
  {{- range $name, $needs := .Files.Get "files/components.yaml" | fromYaml }}
  {{- $own := default dict (get $root.Values.services $name) }}
  # The image that serves the schema also knows it; each container holds no more than its own role.
  - name: {{ $name }}
    image: {{ include "plaza.image" (list $root $name) }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: [migrate]
    securityContext:
      {{- include "plaza.containerSecurity" . | nindent 6 }}
    env:
      - name: PLAZA_DATABASE_URL
        valueFrom: {secretKeyRef: {name: {{ default (include "plaza.name" (list $root $name)) $own.existingSecret }}, key: database-url}}
      {{- include "plaza.processEnv" (list $root) | nindent 6 }}
    resources:
      {{- toYaml $root.Values.migrations.resources | nindent 6 }}
    volumeMounts:
      {{- include "plaza.mounts" (list $root) | nindent 6 }}
  {{- end }}
volumes:
  {{- include "plaza.volumes" (list $root "256Mi") | nindent 2 }}
{{- end }}

{{- define "plaza.keysPod" }}
{{- include "plaza.podBase" (list . (include "plaza.name" (list . "keys"))) }}
automountServiceAccountToken: true
restartPolicy: OnFailure
containers:
  - name: keys
    image: {{ include "plaza.image" (list . "tools") }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [/app/bin/python, -m, plaza_kit.cluster_keys]
    securityContext:
      {{- include "plaza.containerSecurity" . | nindent 6 }}
    env:
      - {name: PLAZA_KEYS_SECRET, value: {{ include "plaza.keysSecret" . }}}
      - {name: PLAZA_KEYS_TRUST, value: {{ include "plaza.trustConfigMap" . }}}
      - {name: PLAZA_KEYS_CONSOLE, value: {{ include "plaza.consoleSecret" . }}}
      - {name: PLAZA_KEYS_ISSUER, value: {{ .Values.keys.issuer | quote }}}
      - {name: PLAZA_LEDGER_ORIGIN, value: {{ .Values.keys.ledgerOrigin | quote }}}
    resources:
      {{- toYaml .Values.migrations.resources | nindent 6 }}
    volumeMounts:
      - {name: cache, mountPath: /cache}
volumes:
  - name: cache
    emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- end }}

{{- define "plaza.certificatesPod" }}
{{- $root := . }}
{{- $own := eq .Values.tls.mode "own" }}
{{- $holders := dict }}
{{- if $own }}
{{- range $name := keys (include "plaza.callers" . | fromYaml) }}
{{- $_ := set $holders (include "plaza.tlsSecret" (list $root $name)) (include "plaza.hosts" (list $root $name) | fromJsonArray) }}
{{- end }}
{{- end }}
{{- include "plaza.podBase" (list . (include "plaza.name" (list . "certificates"))) }}
automountServiceAccountToken: true
restartPolicy: OnFailure
containers:
  - name: certificates
    image: {{ include "plaza.image" (list . "tools") }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [/app/bin/python, -m, plaza_kit.cluster_certificates]
    securityContext:
      {{- include "plaza.containerSecurity" . | nindent 6 }}
    env:
      {{- if $own }}
      - {name: PLAZA_CERTIFICATES_AUTHORITY, value: {{ include "plaza.authoritySecret" . }}}
      - {name: PLAZA_CERTIFICATES_SUPPLIED, value: {{ ternary "true" "false" (ne .Values.tls.authoritySecret "") | quote }}}
      - {name: PLAZA_CERTIFICATES_HOLDERS, value: {{ $holders | toJson | quote }}}
      {{- end }}
      {{- if and (include "plaza.workersTls" .) (not .Values.tls.workersAuthoritySecret) }}
      - {name: PLAZA_CERTIFICATES_WORKERS, value: {{ include "plaza.workersAuthoritySecret" . }}}
      {{- end }}
    resources:
      {{- toYaml .Values.migrations.resources | nindent 6 }}
    volumeMounts:
      - {name: cache, mountPath: /cache}
volumes:
  - name: cache
    emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- end }}
