{{/* What the schema cannot say; all of it is told at once. */}}
{{- define "plaza.check" -}}
{{- $missing := list -}}
{{- range $path, $value := dict
      "keycloak.issuer" .Values.keycloak.issuer
      "storage.lakeWarehouse" .Values.storage.lakeWarehouse
      "storage.staging" .Values.storage.staging
      "storage.releaseStore" .Values.storage.releaseStore -}}
{{- if not $value }}{{ $missing = append $missing $path }}{{ end -}}
{{- end -}}
{{- if and (eq .Values.tls.mode "certManager") (not .Values.tls.certManager.issuerName) -}}
{{- $missing = append $missing "tls.certManager.issuerName" -}}
{{- end -}}
{{- range $face, $own := pick .Values.gateway "public" "internal" -}}
{{- if and $own.ingress.enabled (not $own.ingress.host) -}}
{{- $missing = append $missing (printf "gateway.%s.ingress.host" $face) -}}
{{- end -}}
{{- if and $own.httpRoute.enabled (not $own.httpRoute.parentRefs) -}}
{{- $missing = append $missing (printf "gateway.%s.httpRoute.parentRefs" $face) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.helmTest.existingSecret (not .Values.helmTest.department) -}}
{{- $missing = append $missing "helmTest.department" -}}
{{- end -}}
{{- if and .Values.operator.enabled (not (regexMatch "^s3://[^/]*\\{department\\}[^/]*/staging$" .Values.storage.staging)) -}}
{{- $missing = append $missing "storage.staging: with the operator it is s3://<bucket with {department}>/staging" -}}
{{- end -}}
{{- if $missing -}}
{{- fail (printf "\n\nThese values are needed:\n  - %s\nSee charts/plaza/README.md." ($missing | sortAlpha | join "\n  - ")) -}}
{{- end -}}
{{- end }}
