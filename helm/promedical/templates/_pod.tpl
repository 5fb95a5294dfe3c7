{{/* Where the server finds its model. */}}
{{- define "promedical.model" -}}
{{- if eq .Values.model.source "bundled" -}}
{{- default "default" .Values.model.path -}}
{{- else if eq .Values.model.source "download" -}}
/model/{{ .Values.model.download.repository }}/{{ .Values.model.download.revision }}
{{- else -}}
{{- printf "/model/%s" .Values.model.path | trimSuffix "/" -}}
{{- end -}}
{{- end -}}

{{/* The settings file of promedical-serve. The chart's own settings win; the schema refuses them in `settings` anyway. */}}
{{- define "promedical.settings" -}}
{{- $own := dict
  "rest_port" .Values.ports.rest
  "grpc_port" .Values.ports.grpc
  "health_port" .Values.ports.health
  "engine" .Values.engine
  "model" (include "promedical.model" .)
  "drain_s" .Values.drain.serverSeconds -}}
{{- if eq .Values.engine "vllm" -}}
{{- $_ := set $own "tensor_parallel" .Values.gpu.tensorParallel -}}
{{- end -}}
{{- if include "promedical.rubricsName" . -}}
{{- $_ := set $own "rubric_dir" "/etc/promedical/rubrics" -}}
{{- end -}}
{{- if ne .Values.keys.source "none" -}}
{{- $_ := set $own "keys_file" (printf "/etc/promedical/keys/%s" .Values.keys.secretKey) -}}
{{- end -}}
{{- if ne .Values.tls.source "none" -}}
{{- $_ := set $own "tls_cert_file" "/etc/promedical/tls/tls.crt" -}}
{{- $_ := set $own "tls_key_file" "/etc/promedical/tls/tls.key" -}}
{{- end -}}
{{- if .Values.tls.mutual.enabled -}}
{{- $_ := set $own "tls_client_ca_file" "/etc/promedical/client-ca/ca.crt" -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.settings) $own) -}}
{{- end -}}

{{/* The ConfigMap with rubric files; empty if there is none. It is mounted whole, so that a new file restarts nothing. */}}
{{- define "promedical.rubricsName" -}}
{{- if .Values.rubrics.files -}}
{{- printf "%s-rubrics" (include "promedical.fullname" .) -}}
{{- else -}}
{{- .Values.rubrics.configMapName -}}
{{- end -}}
{{- end -}}

{{/* Reads what the server will read, and stops a pod that could not start. */}}
{{- define "promedical.checkContainer" -}}
- name: check
  image: {{ include "promedical.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    - --config=/etc/promedical/settings/settings.yaml
    {{- range .Values.extraArgs }}
    - {{ . | quote }}
    {{- end }}
    - --check
  env:
    {{- include "promedical.env" . | nindent 4 }}
  {{- with .Values.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    requests: {cpu: 100m, memory: 256Mi, ephemeral-storage: 64Mi}
    limits:
      {{- with .Values.check.cpuLimit }}
      cpu: {{ . | quote }}
      {{- end }}
      memory: 256Mi
      ephemeral-storage: 64Mi
  securityContext:
    {{- include "promedical.containerSecurityContext" . | nindent 4 }}
  volumeMounts:
    {{- include "promedical.volumeMounts" . | nindent 4 }}
{{- end -}}

{{- define "promedical.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.podSecurity.runAsUser }}
runAsUser: {{ int . }}
runAsGroup: {{ int . }}
{{- end }}
{{- with .Values.podSecurity.fsGroup }}
fsGroup: {{ int . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "promedical.containerSecurityContext" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* vLLM's processes talk over shared memory: 160 MiB on a CPU, more between GPUs; the runtime's 64 MiB are too few. */}}
{{- define "promedical.shmMi" -}}
{{- .Values.shm.sizeMi | int | default (eq .Values.engine "vllm" | ternary 1024 0) -}}
{{- end -}}

{{/* Shared memory counts against the memory limit, so it is added to it. */}}
{{- define "promedical.resources" -}}
{{- $memory := printf "%dMi" (add (int .Values.resources.memoryMi) (int (include "promedical.shmMi" .))) -}}
{{- $disk := printf "%dMi" (add (int .Values.resources.ephemeralStorageMi) (int .Values.cache.sizeMi)) -}}
requests:
  cpu: {{ .Values.resources.cpuRequest | quote }}
  memory: {{ $memory | quote }}
  ephemeral-storage: {{ $disk | quote }}
limits:
  {{- with .Values.resources.cpuLimit }}
  cpu: {{ . | quote }}
  {{- end }}
  memory: {{ $memory | quote }}
  ephemeral-storage: {{ $disk | quote }}
  {{- if .Values.gpu.enabled }}
  {{ .Values.gpu.resource }}: {{ int .Values.gpu.tensorParallel }}
  {{- end }}
{{- with .Values.resourceClaims }}
claims:
  {{- range . }}
  - name: {{ .name | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The tolerations of servers and test pods, which run on the same nodes; nothing if there are none. */}}
{{- define "promedical.tolerations" -}}
{{- $gpu := list -}}
{{- if and .Values.gpu.enabled .Values.gpu.toleration -}}
{{- $gpu = list (dict "key" .Values.gpu.resource "operator" "Exists") -}}
{{- end -}}
{{- with concat $gpu (default list .Values.tolerations) -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* Everything that a model library might write goes into one folder, since the root is read-only. */}}
{{- define "promedical.cacheEnv" -}}
- {name: HOME, value: /cache/home}
- {name: TMPDIR, value: /cache}
- {name: XDG_CACHE_HOME, value: /cache}
- {name: HF_HOME, value: /cache/huggingface}
- {name: TRITON_CACHE_DIR, value: /cache/triton}
- {name: TORCHINDUCTOR_CACHE_DIR, value: /cache/inductor}
- {name: CUDA_CACHE_PATH, value: /cache/cuda}
- {name: VLLM_CACHE_ROOT, value: /cache/vllm}
{{- end -}}

{{/* How calls to the outside leave: of the download, and of the server, which sends traces. Both spellings are read. */}}
{{- define "promedical.egressEnv" -}}
{{- $env := dict -}}
{{- with .Values.egress.proxy -}}
{{- $env = dict "HTTPS_PROXY" . "https_proxy" . "HTTP_PROXY" . "http_proxy" . "NO_PROXY" $.Values.egress.noProxy "no_proxy" $.Values.egress.noProxy -}}
{{- end -}}
{{- if .Values.egress.caConfigMapName -}}
{{- $env = merge $env (dict "SSL_CERT_FILE" "/etc/promedical/egress-ca/ca.crt" "REQUESTS_CA_BUNDLE" "/etc/promedical/egress-ca/ca.crt") -}}
{{- end -}}
{{- range $name, $value := $env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end -}}
{{- end -}}

{{/* The environment wins over the settings file, so host and engine, which an image may set, are set here. */}}
{{- define "promedical.env" -}}
- {name: PROMEDICAL_HOST, value: {{ .Values.host | quote }}}
- {name: PROMEDICAL_ENGINE, value: {{ .Values.engine | quote }}}
- {name: PROMEDICAL_OFFLINE, value: "1"}
- {name: HF_HUB_OFFLINE, value: "1"}
- {name: TRANSFORMERS_OFFLINE, value: "1"}
- {name: HF_HUB_DISABLE_TELEMETRY, value: "1"}
{{ include "promedical.cacheEnv" . }}
{{- include "promedical.egressEnv" . }}
{{- range .Values.extraEnv }}
{{ include "promedical.envEntry" . }}
{{- end }}
{{- end -}}

{{/* Kubernetes wants text; YAML makes numbers and truth values of 1 and true. */}}
{{- define "promedical.envEntry" -}}
{{- $entry := . -}}
{{- if hasKey . "value" -}}
{{- $text := kindIs "string" .value | ternary (toString .value) (toJson .value) -}}
{{- $entry = set (deepCopy .) "value" (kindIs "invalid" .value | ternary "" $text) -}}
{{- end -}}
{{- toYaml (list $entry) -}}
{{- end -}}

{{- define "promedical.probe" -}}
grpc:
  port: {{ .root.Values.ports.health }}
  service: {{ .service | quote }}
periodSeconds: {{ .periodSeconds }}
timeoutSeconds: {{ .root.Values.probes.timeoutSeconds }}
failureThreshold: {{ .failureThreshold }}
{{- end -}}

{{/* The kubelet has a sleep of its own since Kubernetes 1.30; before, the image's is used. */}}
{{- define "promedical.preStop" -}}
{{- if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}
sleep:
  seconds: {{ .Values.drain.preStopSeconds }}
{{- else -}}
exec:
  command: ["sleep", {{ .Values.drain.preStopSeconds | quote }}]
{{- end -}}
{{- end -}}

{{/* Surge 0 with one pod is the same as Recreate, but Helm 3 would not wait for that pod. */}}
{{- define "promedical.strategy" -}}
{{- $mode := .Values.rollout.mode -}}
{{- $alone := and (eq .Values.autoscaling.type "none") (le (int .Values.replicas) 1) -}}
{{- if or (eq $mode "recreate") (and (eq $mode "noSpareGpu") $alone) -}}
type: Recreate
{{- else -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: {{ eq $mode "spareGpu" | ternary .Values.rollout.atOnce 0 }}
  maxUnavailable: {{ eq $mode "spareGpu" | ternary 0 .Values.rollout.atOnce }}
{{- end -}}
{{- end -}}

{{- define "promedical.volumes" -}}
- name: settings
  configMap:
    name: {{ include "promedical.revision" . | quote }}
- name: cache
  emptyDir:
    sizeLimit: {{ .Values.cache.sizeMi }}Mi
{{- with int (include "promedical.shmMi" .) }}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ . }}Mi
{{- end }}
{{- with include "promedical.rubricsName" . }}
- name: rubrics
  configMap:
    name: {{ . | quote }}
{{- end }}
{{- if ne .Values.keys.source "none" }}
- name: keys
  secret:
    secretName: {{ include "promedical.keysSecretName" . | quote }}
    defaultMode: 0440
{{- end }}
{{- if ne .Values.tls.source "none" }}
- name: tls
  secret:
    secretName: {{ include "promedical.tlsSecretName" . | quote }}
    defaultMode: 0440
{{- end }}
{{- if .Values.tls.mutual.enabled }}
- name: client-ca
  secret:
    secretName: {{ .Values.tls.mutual.caSecretName | quote }}
    defaultMode: 0440
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- if and (eq .Values.model.source "download") .Values.model.download.tokenSecret }}
- name: hub-token
  secret:
    secretName: {{ .Values.model.download.tokenSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.egress.caConfigMapName }}
- name: egress-ca
  configMap:
    name: {{ . | quote }}
    items:
      - {key: {{ $.Values.egress.caKey | quote }}, path: ca.crt}
{{- end }}
{{- include "promedical.modelVolume" . }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "promedical.modelVolume" -}}
{{- $source := .Values.model.source -}}
{{- if ne $source "bundled" }}
- name: model
  {{- if has $source (list "pvc" "download") }}
  persistentVolumeClaim:
    claimName: {{ include "promedical.modelClaimName" . | quote }}
    {{- if eq $source "pvc" }}
    readOnly: true
    {{- end }}
  {{- else if eq $source "image" }}
  image:
    reference: {{ .Values.model.image.reference | quote }}
    pullPolicy: {{ .Values.model.image.pullPolicy }}
  {{- else }}
  hostPath:
    path: {{ .Values.model.hostPath.path | quote }}
    type: Directory
  {{- end }}
{{- end }}
{{- end -}}

{{- define "promedical.volumeMounts" -}}
- {name: settings, mountPath: /etc/promedical/settings, readOnly: true}
- {name: cache, mountPath: /cache}
- {name: cache, mountPath: /tmp, subPath: tmp}
{{- if int (include "promedical.shmMi" .) }}
- {name: shm, mountPath: /dev/shm}
{{- end }}
{{- if include "promedical.rubricsName" . }}
- {name: rubrics, mountPath: /etc/promedical/rubrics, readOnly: true}
{{- end }}
{{- if ne .Values.keys.source "none" }}
- {name: keys, mountPath: /etc/promedical/keys, readOnly: true}
{{- end }}
{{- if ne .Values.tls.source "none" }}
- {name: tls, mountPath: /etc/promedical/tls, readOnly: true}
{{- end }}
{{- if .Values.tls.mutual.enabled }}
- {name: client-ca, mountPath: /etc/promedical/client-ca, readOnly: true}
{{- end }}
{{- if ne .Values.model.source "bundled" }}
- {name: model, mountPath: /model, readOnly: true}
{{- end }}
{{- if .Values.egress.caConfigMapName }}
- {name: egress-ca, mountPath: /etc/promedical/egress-ca, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
