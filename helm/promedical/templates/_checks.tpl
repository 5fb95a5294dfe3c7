{{/* Checks that the schema cannot make: values that contradict each other. A message names the value and what to do. */}}
{{- define "promedical.checks" -}}
{{- $v := .Values -}}
{{- $batchS := default 1 $v.settings.max_batch_s -}}
{{- if lt (float64 $v.drain.serverSeconds) (float64 $batchS) -}}
{{- fail (printf "drain.serverSeconds is %v, but one pass of the engine may take settings.max_batch_s, %v: raise drain.serverSeconds" $v.drain.serverSeconds $batchS) -}}
{{- end -}}
{{- if and (ne $v.autoscaling.type "none") (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas is %v, above autoscaling.maxReplicas, %v: lower one or raise the other" $v.autoscaling.minReplicas $v.autoscaling.maxReplicas) -}}
{{- end -}}
{{- if ne (len (uniq (list (int $v.ports.rest) (int $v.ports.grpc) (int $v.ports.health)))) 3 -}}
{{- fail "ports.rest, ports.grpc and ports.health must be three different ports" -}}
{{- end -}}
{{- if and (gt (int $v.gpu.tensorParallel) 1) (or (ne $v.engine "vllm") (not $v.gpu.enabled)) -}}
{{- fail (printf "gpu.tensorParallel is %v: more than one GPU needs engine=vllm and gpu.enabled=true" $v.gpu.tensorParallel) -}}
{{- end -}}
{{- if and (gt (int $v.gpu.tensorParallel) 1) (lt (int (include "promedical.shmMi" .)) 1024) -}}
{{- fail (printf "shm.sizeMi is %v: the processes of tensor parallelism talk over shared memory: set at least 1024, or 0, which means 1024" $v.shm.sizeMi) -}}
{{- end -}}
{{- if and (eq $v.model.source "image") (semverCompare "<1.31.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "model.source=image needs Kubernetes 1.31 or newer, this is %s: use pvc or download" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and $v.tls.mutual.enabled (eq $v.tls.source "none") -}}
{{- fail "tls.mutual.enabled needs a certificate of the server: set tls.source to secret or certManager" -}}
{{- end -}}
{{- $accessMode := $v.model.download.accessMode -}}
{{- if and (eq $v.model.source "download") (not $v.model.download.claimName) (ne $accessMode "ReadWriteMany") -}}
{{- if or (gt (int $v.replicas) 1) (ne $v.autoscaling.type "none") -}}
{{- fail (printf "model.download.accessMode=%s ties all replicas to one node or pod: use ReadWriteMany, or one replica" $accessMode) -}}
{{- end -}}
{{- if eq $v.rollout.mode "spareGpu" -}}
{{- fail (printf "rollout.mode=spareGpu starts a second pod, and model.download.accessMode=%s ties the model to the first: use ReadWriteMany, or rollout.mode=noSpareGpu" $accessMode) -}}
{{- end -}}
{{- end -}}
{{- if and $v.gateway.grpcRoute (not $v.gateway.parentRefs) -}}
{{- fail "gateway.grpcRoute needs gateway.parentRefs" -}}
{{- end -}}
{{- if and $v.gateway.httpRoute (not $v.gateway.parentRefs) -}}
{{- fail "gateway.httpRoute needs gateway.parentRefs" -}}
{{- end -}}
{{- if and (ne $v.tls.source "none") (or $v.gateway.grpcRoute $v.gateway.httpRoute $v.ingress.enabled) $v.tls.mutual.enabled -}}
{{- fail "tls.mutual.enabled ends at the pod, but routes and Ingress end TLS before it: turn one of them off" -}}
{{- end -}}
{{- if and $v.ingress.enabled $v.ingress.tlsSecretName (not $v.ingress.host) -}}
{{- fail (printf "ingress.tlsSecretName is %s, but its certificate needs a host: set ingress.host" $v.ingress.tlsSecretName) -}}
{{- end -}}
{{- if and $v.tls.mutual.enabled (not $v.tls.mutual.clientSecretName) (ne $v.monitoring.scrape "none") -}}
{{- fail (printf "monitoring.scrape=%s needs a client's certificate under mutual TLS: set tls.mutual.clientSecretName" $v.monitoring.scrape) -}}
{{- end -}}
{{- if and $v.monitoring.rules.enabled (eq $v.monitoring.scrape "none") -}}
{{- fail "monitoring.rules.enabled needs metrics in Prometheus: set monitoring.scrape to podMonitor or serviceMonitor" -}}
{{- end -}}
{{- if and (ne $v.autoscaling.type "none") (eq $v.monitoring.scrape "none") -}}
{{- fail "autoscaling counts queued tokens in Prometheus: set monitoring.scrape to podMonitor or serviceMonitor" -}}
{{- end -}}
{{- end -}}
