{{/* A section that is left empty is null, and Helm takes null for "drop the defaults": they are put back. Every file
     that is rendered begins with this, since nothing says which one is the first. */}}
{{- define "promedical.defaults" -}}
{{- include "promedical.fill" (dict "values" .Values "defaults" (.Files.Get "files/defaults.yaml" | fromYaml)) -}}
{{- end -}}

{{/* In podSecurity and in labels null has a meaning: no user, no label. */}}
{{- define "promedical.fill" -}}
{{- $values := .values -}}
{{- range $name, $default := .defaults -}}
{{- if kindIs "invalid" (index $values $name) -}}
{{- $_ := set $values $name $default -}}
{{- else if and (kindIs "map" $default) (not (has $name (list "podSecurity" "labels"))) -}}
{{- include "promedical.fill" (dict "values" (index $values $name) "defaults" $default) -}}
{{- end -}}
{{- end -}}
{{- end -}}
