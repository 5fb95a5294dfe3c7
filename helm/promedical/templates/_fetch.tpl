{{/* Downloads the pinned revision once. A folder that exists is complete, since it is renamed into place. */}}
{{- define "promedical.fetchContainer" -}}
- name: fetch-model
  image: {{ include "promedical.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [python3, -c]
  args:
    - |
      {{- .Files.Get "files/fetch_model.py" | nindent 6 }}
    - {{ .Values.model.download.repository | quote }}
    - {{ .Values.model.download.revision | quote }}
    - {{ include "promedical.model" . | quote }}
  env:
    {{- include "promedical.cacheEnv" . | nindent 4 }}
    - {name: HF_HUB_OFFLINE, value: "0"}
    - {name: HF_HUB_DISABLE_TELEMETRY, value: "1"}
    {{- with include "promedical.egressEnv" . }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    {{- with .Values.model.download.endpoint }}
    - {name: HF_ENDPOINT, value: {{ . | quote }}}
    {{- end }}
    {{- if .Values.model.download.tokenSecret }}
    - {name: HF_TOKEN_PATH, value: /etc/promedical/hub/token}
    {{- end }}
  resources:
    requests: {cpu: 500m, memory: 1Gi, ephemeral-storage: {{ .Values.cache.sizeMi }}Mi}
    limits:
      {{- with .Values.model.download.cpuLimit }}
      cpu: {{ . | quote }}
      {{- end }}
      memory: 2Gi
      ephemeral-storage: {{ .Values.cache.sizeMi }}Mi
  securityContext:
    {{- include "promedical.containerSecurityContext" . | nindent 4 }}
  volumeMounts:
    - {name: model, mountPath: /model}
    - {name: cache, mountPath: /cache}
    - {name: cache, mountPath: /tmp, subPath: tmp}
    {{- if .Values.egress.caConfigMapName }}
    - {name: egress-ca, mountPath: /etc/promedical/egress-ca, readOnly: true}
    {{- end }}
    {{- if .Values.model.download.tokenSecret }}
    - {name: hub-token, mountPath: /etc/promedical/hub, readOnly: true}
    {{- end }}
{{- end -}}
