{{/* The review app: its names, its checks, and what its pods and the migration share. */}}
{{- define "promedical.reviewName" -}}
{{ include "promedical.fullname" . }}-review
{{- end -}}

{{- define "promedical.reviewSelectorLabels" -}}
app.kubernetes.io/name: {{ include "promedical.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: review
{{- end -}}

{{- define "promedical.reviewLabels" -}}
{{- include "promedical.labelsWith" (dict "root" . "more" (dict "app.kubernetes.io/component" "review")) -}}
{{- end -}}

{{- define "promedical.reviewImage" -}}
{{- with .Values.review.image -}}
{{- .digest | empty | ternary (printf "%s:%s" .repository (default $.Chart.AppVersion .tag)) (printf "%s@%s" .repository .digest) -}}
{{- end -}}
{{- end -}}

{{- define "promedical.reviewHost" -}}
{{- (urlParse .Values.review.publicUrl).hostname -}}
{{- end -}}

{{- define "promedical.reviewChecks" -}}
{{- $v := .Values.review -}}
{{- if not $v.database.secretName -}}
{{- fail "review.enabled needs a PostgreSQL database: set review.database.secretName to an existing Secret with its address, postgresql://USER:PASSWORD@HOST/NAME" -}}
{{- end -}}
{{- if not $v.publicUrl -}}
{{- fail "review.enabled needs the address at which physicians find the app: set review.publicUrl, such as https://review.example.com" -}}
{{- end -}}
{{- if and $v.oidc.issuer (not $v.oidc.clientId) -}}
{{- fail (printf "review.oidc.issuer is %s, which needs to know this app: set review.oidc.clientId" $v.oidc.issuer) -}}
{{- end -}}
{{- if and (not $v.oidc.issuer) (or $v.oidc.clientId $v.oidc.secretName $v.oidc.roles) -}}
{{- fail "review.oidc needs an issuer: set review.oidc.issuer, or leave clientId, secretName and roles empty" -}}
{{- end -}}
{{- if and $v.gateway.httpRoute (not $v.gateway.parentRefs) -}}
{{- fail "review.gateway.httpRoute needs review.gateway.parentRefs" -}}
{{- end -}}
{{- if eq (int $v.port) (int $v.metricsPort) -}}
{{- fail (printf "review.port and review.metricsPort are both %v: they must be two different ports" $v.port) -}}
{{- end -}}
{{- end -}}

{{/* Where the database is stands in a file, which no list of processes and no dump of an environment shows. */}}
{{- define "promedical.reviewEnv" -}}
- {name: PROMEDICAL_REVIEW_DATABASE, value: "@/etc/promedical-review/database/{{ .Values.review.database.secretKey }}"}
- {name: TMPDIR, value: /tmp}
{{- end -}}

{{- define "promedical.reviewOidcEnv" -}}
{{- with .Values.review.oidc -}}
{{- if .issuer }}
- {name: PROMEDICAL_REVIEW_OIDC_ISSUER, value: {{ .issuer | quote }}}
- {name: PROMEDICAL_REVIEW_OIDC_CLIENT_ID, value: {{ .clientId | quote }}}
- {name: PROMEDICAL_REVIEW_OIDC_ROLE_CLAIM, value: {{ .roleClaim | quote }}}
{{- with .roles }}
- {name: PROMEDICAL_REVIEW_OIDC_ROLES, value: {{ toJson . | quote }}}
{{- end }}
{{- if .secretName }}
- {name: PROMEDICAL_REVIEW_OIDC_CLIENT_SECRET, value: "@/etc/promedical-review/oidc/{{ .secretKey }}"}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "promedical.reviewResources" -}}
{{- with .Values.review.resources -}}
requests: {cpu: {{ .cpuRequest | quote }}, memory: {{ .memoryMi }}Mi, ephemeral-storage: 384Mi}
limits:
  {{- with .cpuLimit }}
  cpu: {{ . | quote }}
  {{- end }}
  memory: {{ .memoryMi }}Mi
  ephemeral-storage: 384Mi
{{- end -}}
{{- end -}}

{{/* What a pod of the app and of its migration have in common. */}}
{{- define "promedical.reviewPod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "promedical.podSecurityContext" . | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.review.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.review.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* In /tmp lie files of up to 64 MiB while admins send them. */}}
{{- define "promedical.reviewVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
- name: database
  secret:
    secretName: {{ .Values.review.database.secretName | quote }}
    defaultMode: 0440
{{- end -}}

{{- define "promedical.reviewMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: database, mountPath: /etc/promedical-review/database, readOnly: true}
{{- end -}}

{{- define "promedical.reviewDatabaseEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- ports:
    - {port: {{ .Values.review.database.port }}, protocol: TCP}
  {{- with .Values.review.networkPolicy.database }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- if .Values.networkPolicy.ambientMesh }}
- ports:
    - {port: 15008, protocol: TCP}
{{- end }}
{{- end -}}

{{- define "promedical.reviewSeries" -}}
namespace="{{ .Release.Namespace }}",job="{{ include "promedical.reviewName" . }}"
{{- end -}}
