{{/* Checks that the schema cannot make: values that contradict each other. A message names the value and what to do. */}}
{{- define "promedical.checks" -}}
{{- $v := .Values -}}
{{- $at := empty (get . "revision") | ternary "" "canary, over the release's values: " -}}
{{- $batchS := default 1 $v.settings.max_batch_s -}}
{{- if lt (float64 $v.drain.serverSeconds) (float64 $batchS) -}}
{{- fail (print $at (printf "drain.serverSeconds is %v, but one pass of the engine may take settings.max_batch_s, %v: raise drain.serverSeconds" $v.drain.serverSeconds $batchS)) -}}
{{- end -}}
{{- if and (ne $v.autoscaling.type "none") (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail (print $at (printf "autoscaling.minReplicas is %v, above autoscaling.maxReplicas, %v: lower one or raise the other" $v.autoscaling.minReplicas $v.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if ne (len (uniq (list (int $v.ports.rest) (int $v.ports.grpc) (int $v.ports.health)))) 3 -}}
{{- fail (print $at "ports.rest, ports.grpc and ports.health must be three different ports") -}}
{{- end -}}
{{- if and (gt (int $v.gpu.tensorParallel) 1) (or (ne $v.engine "vllm") (not $v.gpu.enabled)) -}}
{{- fail (print $at (printf "gpu.tensorParallel is %v: more than one GPU needs engine=vllm and gpu.enabled=true" $v.gpu.tensorParallel)) -}}
{{- end -}}
{{- if and (gt (int $v.gpu.tensorParallel) 1) (lt (int (include "promedical.shmMi" .)) 1024) -}}
{{- fail (print $at (printf "shm.sizeMi is %v: the processes of tensor parallelism talk over shared memory: set at least 1024, or 0, which means 1024" $v.shm.sizeMi)) -}}
{{- end -}}
{{- if and (eq $v.model.source "image") (semverCompare "<1.31.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (print $at (printf "model.source=image needs Kubernetes 1.31 or newer, this is %s: use pvc or download" .Capabilities.KubeVersion.Version)) -}}
{{- end -}}
{{- if and $v.tls.mutual.enabled (eq $v.tls.source "none") -}}
{{- fail (print $at "tls.mutual.enabled needs a certificate of the server: set tls.source to secret or certManager") -}}
{{- end -}}
{{- $accessMode := $v.model.download.accessMode -}}
{{- if and (eq $v.model.source "download") (not $v.model.download.claimName) (ne $accessMode "ReadWriteMany") -}}
{{- if or (gt (int $v.replicas) 1) (ne $v.autoscaling.type "none") -}}
{{- fail (print $at (printf "model.download.accessMode=%s ties all replicas to one node or pod: use ReadWriteMany, or one replica" $accessMode)) -}}
{{- end -}}
{{- if eq $v.rollout.mode "spareGpu" -}}
{{- fail (print $at (printf "rollout.mode=spareGpu starts a second pod, and model.download.accessMode=%s ties the model to the first: use ReadWriteMany, or rollout.mode=noSpareGpu" $accessMode)) -}}
{{- end -}}
{{- end -}}
{{- if and $v.rubrics.files $v.rubrics.configMapName -}}
{{- fail (print $at (printf "rubrics.files and rubrics.configMapName=%s both hold rubrics: use one of them" $v.rubrics.configMapName)) -}}
{{- end -}}
{{- if and (ne $v.tls.source "none") (or $v.gateway.grpcRoute $v.gateway.httpRoute $v.ingress.enabled) $v.tls.mutual.enabled -}}
{{- fail (print $at "tls.mutual.enabled ends at the pod, but routes and Ingress end TLS before it: turn one of them off") -}}
{{- end -}}
{{- if and $v.ingress.enabled $v.ingress.tlsSecretName (not $v.ingress.host) -}}
{{- fail (print $at (printf "ingress.tlsSecretName is %s, but its certificate needs a host: set ingress.host" $v.ingress.tlsSecretName)) -}}
{{- end -}}
{{- if and $v.tls.mutual.enabled (not $v.tls.mutual.clientSecretName) (ne $v.monitoring.scrape "none") -}}
{{- fail (print $at (printf "monitoring.scrape=%s needs a client's certificate under mutual TLS: set tls.mutual.clientSecretName" $v.monitoring.scrape)) -}}
{{- end -}}
{{- if and $v.settings.metrics_need_key (ne $v.monitoring.scrape "none") (not $v.monitoring.apiKeySecretName) -}}
{{- fail (print $at (printf "settings.metrics_need_key and monitoring.scrape=%s need a key with the role metrics: set monitoring.apiKeySecretName" $v.monitoring.scrape)) -}}
{{- end -}}
{{- if and $v.settings.metrics_need_key (eq $v.keys.source "none") -}}
{{- fail (print $at "settings.metrics_need_key needs keys: set keys.source") -}}
{{- end -}}
{{- if and $v.monitoring.rules.enabled (eq $v.monitoring.scrape "none") -}}
{{- fail (print $at "monitoring.rules.enabled needs metrics in Prometheus: set monitoring.scrape to podMonitor or serviceMonitor") -}}
{{- end -}}
{{- if and (ne $v.autoscaling.type "none") (eq $v.monitoring.scrape "none") -}}
{{- fail (print $at "autoscaling counts queued tokens in Prometheus: set monitoring.scrape to podMonitor or serviceMonitor") -}}
{{- end -}}
{{- if and (eq $v.autoscaling.type "hpa") (not (int $v.autoscaling.minReplicas)) -}}
{{- fail (print $at "autoscaling.minReplicas is 0, which a HorizontalPodAutoscaler refuses: use autoscaling.type=keda, or at least 1") -}}
{{- end -}}
{{- if and (eq $v.autoscaling.type "keda") (not (int $v.autoscaling.minReplicas)) (not $v.autoscaling.keda.extraTriggers) -}}
{{- fail (print $at "autoscaling.minReplicas is 0, and without pods nothing counts what waits: it needs a trigger in autoscaling.keda.extraTriggers, such as calls at the gateway") -}}
{{- end -}}
{{- if and $v.gateway.backendTls.enabled (or (eq $v.tls.source "none") (not $v.gateway.backendTls.caConfigMapName)) -}}
{{- fail (print $at "gateway.backendTls.enabled needs a certificate of the pods, tls.source, and its authority, gateway.backendTls.caConfigMapName") -}}
{{- end -}}
{{- range $path := concat $v.gateway.paths $v.ingress.paths -}}
{{- if has $path (list "/metrics" "/healthz" "/readyz") -}}
{{- fail (print $at (printf "%s is for the cluster: it must be left out of gateway.paths and ingress.paths" $path)) -}}
{{- end -}}
{{- end -}}
{{- if gt (int (default 1 $v.settings.nodes)) 1 -}}
{{- fail (print $at (printf "settings.nodes is %v, but a pod runs on one node: it must be left out; for several nodes take docs/leaderworkerset/oracle.yaml instead of this chart" $v.settings.nodes)) -}}
{{- end -}}
{{- if gt (int $v.gpu.tensorParallel) 16 -}}
{{- fail (print $at (printf "gpu.tensorParallel is %v, but a pod runs on one node: it must be at most the GPUs of one node; for several nodes take docs/leaderworkerset/oracle.yaml instead of this chart" $v.gpu.tensorParallel)) -}}
{{- end -}}
{{- $own := .Files.Get "files/own_settings.txt" | trim | splitList "\n" -}}
{{- range $v.extraArgs -}}
{{- $flag := splitList "=" . | first | trimPrefix "--" | replace "-" "_" -}}
{{- if has $flag $own -}}
{{- fail (print $at (printf "extraArgs: --%s must be left out, since the chart sets it: change the chart's own value instead" (replace "_" "-" $flag))) -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range concat (include "promedical.env" (dict "Values" (omit $v "extraEnv")) | fromYamlArray) $v.extraEnv -}}
{{- if has .name $names -}}
{{- fail (print $at (printf "extraEnv: %s must be left out, since it stands twice or the chart sets it" .name)) -}}
{{- end -}}
{{- if and (hasPrefix "PROMEDICAL_" (upper .name)) (has (.name | lower | trimPrefix "promedical_") $own) -}}
{{- if not (has .name (list "PROMEDICAL_HOST" "PROMEDICAL_ENGINE")) -}}
{{- fail (print $at (printf "extraEnv: %s must be left out, since the chart sets it: change the chart's own value instead" .name)) -}}
{{- end -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}
