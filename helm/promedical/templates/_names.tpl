{{- define "promedical.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* 50 characters: room for the longest suffix within 63. */}}
{{- define "promedical.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "promedical.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "promedical.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change in the life of a release. */}}
{{- define "promedical.selectorLabels" -}}
app.kubernetes.io/name: {{ include "promedical.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: {{ get . "revision" | default "server" }}
{{- end -}}

{{- define "promedical.interop.labels" -}}
{{- include "promedical.labelsWith" (dict "root" . "more" dict) -}}
{{- end -}}

{{/* Labels of an object, with `more` of its own; the chart's win, since selectors rely on them. */}}
{{- define "promedical.labelsWith" -}}
{{- with .root -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "promedical.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" (default .Chart.AppVersion .Values.image.tag | trunc 63 | trimAll "-_.")
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_.") -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.commonLabels) (deepCopy $.more) $own) -}}
{{- end -}}
{{- end -}}

{{/* Annotations of an object, with `more` of its own, which win; nothing if there are none. */}}
{{- define "promedical.annotations" -}}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (deepCopy (default dict .more)) }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end -}}
{{- end -}}

{{- define "promedical.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "promedical.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "promedical.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "promedical.tlsSecretName" -}}
{{- default (printf "%s-tls" (include "promedical.fullname" .)) .Values.tls.secretName -}}
{{- end -}}

{{- define "promedical.tlsCaSecretName" -}}
{{- default (include "promedical.tlsSecretName" .) .Values.tls.caSecretName -}}
{{- end -}}

{{- define "promedical.keysSecretName" -}}
{{- default (printf "%s-keys" (include "promedical.fullname" .)) .Values.keys.secretName -}}
{{- end -}}

{{- define "promedical.modelClaimName" -}}
{{- if eq .Values.model.source "pvc" -}}
{{- .Values.model.pvc.claimName -}}
{{- else -}}
{{- default (printf "%s-model" (include "promedical.revision" .)) .Values.model.download.claimName -}}
{{- end -}}
{{- end -}}

{{/* Which series are ours, said only here: monitors write these labels, rules and scalers read them. */}}
{{- define "promedical.series" -}}
namespace="{{ .Release.Namespace }}",job="{{ include "promedical.revision" . }}"
{{- end -}}

{{- define "promedical.monitorRelabelings" -}}
- action: replace
  targetLabel: job
  replacement: {{ include "promedical.revision" . | quote }}
{{- end -}}

{{/* Grafana keeps one dashboard for a uid, and every release has its own. */}}
{{- define "promedical.dashboardUid" -}}
promedical-{{ printf "%s/%s" .Release.Namespace (include "promedical.fullname" .) | sha256sum | trunc 12 }}
{{- end -}}

{{- define "promedical.runbook" -}}
{{ .root.Values.monitoring.rules.runbookUrl | trimSuffix "/" }}/{{ .alert }}.md
{{- end -}}
