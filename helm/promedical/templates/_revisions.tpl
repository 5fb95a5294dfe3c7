{{/* A template for the release and, if there is one, for the canary: a second revision with its own pods and Services. */}}
{{- define "promedical.each" -}}
{{- $root := first . -}}
{{- include (last .) $root -}}
{{- if $root.Values.canary.enabled }}
{{- $values := deepCopy $root.Values -}}
{{- include "promedical.asCanary" $values }}
---
{{ include (last .) (dict "Values" $values "Release" $root.Release "Chart" $root.Chart "Capabilities" $root.Capabilities "Files" $root.Files "Template" $root.Template "revision" "canary") }}
{{- end -}}
{{- end -}}

{{/* Turns the release's values into those of the canary. What would not fit its own is not taken over: the digest beside
     another tag, the path beside another source, and the autoscaler, since both would scale to what one needs. */}}
{{- define "promedical.asCanary" -}}
{{- $own := .canary -}}
{{- $_ := set .autoscaling "type" "none" -}}
{{- if and $own.image.tag (not $own.image.digest) -}}
{{- $_ := set .image "digest" "" -}}
{{- end -}}
{{- if and $own.model.source (ne $own.model.source .model.source) -}}
{{- $_ := set .model "path" "" -}}
{{- end -}}
{{- include "promedical.override" (dict "values" . "with" (omit $own "enabled" "weight" "fingerprint" "engine")) -}}
{{- with $own.engine -}}
{{- $_ := set $ "engine" . -}}
{{- end -}}
{{- end -}}

{{/* Puts values over others, also those that are false or 0, and none that is null. */}}
{{- define "promedical.override" -}}
{{- $values := .values -}}
{{- range $name, $value := .with -}}
{{- if and (kindIs "map" $value) (kindIs "map" (index $values $name)) -}}
{{- include "promedical.override" (dict "values" (index $values $name) "with" $value) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $values $name $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of a revision's objects: the release's, or the canary's, which leaves room for suffixes too. */}}
{{- define "promedical.revision" -}}
{{- if get . "revision" -}}
{{- include "promedical.canaryName" . -}}
{{- else -}}
{{- include "promedical.fullname" . -}}
{{- end -}}
{{- end -}}

{{- define "promedical.canaryName" -}}
{{- include "promedical.fullname" . | trunc 43 | trimSuffix "-" -}}-canary
{{- end -}}

{{/* Whether a revision has no pods while the other one answers; such a one is neither tested nor missed. */}}
{{- define "promedical.isIdle" -}}
{{- if and .Values.canary.enabled (eq .Values.autoscaling.type "none") (not (int .Values.replicas)) -}}
true
{{- end -}}
{{- end -}}

{{/* Annotations of a revision's Service. A DNS name of the release's Service must not also stand for the canary's. */}}
{{- define "promedical.serviceAnnotations" -}}
{{- $own := dict -}}
{{- range $name, $value := .Values.service.annotations -}}
{{- if not (and (get $ "revision") (hasPrefix "external-dns." $name)) -}}
{{- $_ := set $own $name $value -}}
{{- end -}}
{{- end -}}
{{- include "promedical.annotations" (dict "root" . "more" $own) -}}
{{- end -}}

{{/* What contradicts itself in a canary. A weight that nobody applies, or a pin that leads nowhere, would be noticed late. */}}
{{- define "promedical.canaryChecks" -}}
{{- $v := .Values -}}
{{- $weight := int $v.canary.weight -}}
{{- $routed := or $v.gateway.httpRoute $v.gateway.grpcRoute -}}
{{- $idle := and (eq $v.autoscaling.type "none") (not (int $v.replicas)) -}}
{{- $canaryIdle := and (eq (default "none" $v.canary.autoscaling.type) "none") (not (int $v.canary.replicas)) -}}
{{- if not $v.canary.enabled -}}
{{- if $weight -}}
{{- fail (printf "canary.weight is %d, but there is no second revision: it needs canary.enabled=true, or must be 0" $weight) -}}
{{- end -}}
{{- else -}}
{{- if and $v.fingerprint (eq $v.fingerprint $v.canary.fingerprint) -}}
{{- fail (printf "fingerprint and canary.fingerprint are both %s: they must be those of two oracles; leave one empty while the release takes over the canary's model" $v.fingerprint) -}}
{{- end -}}
{{- if and $canaryIdle (or $weight $v.canary.fingerprint) -}}
{{- fail (printf "canary.replicas is 0, so nobody would answer the calls that canary.weight=%d and canary.fingerprint=%q send there: raise it, or use weight 0 and no fingerprint" $weight $v.canary.fingerprint) -}}
{{- end -}}
{{- if and $idle (or (lt $weight 100) $v.fingerprint) -}}
{{- fail (printf "replicas is 0, so nobody would answer the calls that canary.weight=%d and fingerprint=%q leave there: raise it, or use canary.weight=100 and no fingerprint" $weight $v.fingerprint) -}}
{{- end -}}
{{- if and (gt $weight 0) (lt $weight 100) (not (and $v.fingerprint $v.canary.fingerprint)) -}}
{{- fail (printf "canary.weight is %d: a split needs fingerprint and canary.fingerprint, by which callers who pin their oracle are routed past it; `promedical model --url` prints them" $weight) -}}
{{- end -}}
{{- if and (gt $weight 0) (lt $weight 100) (not $routed) (not (and $v.ingress.enabled (eq $v.ingress.canary "weights"))) -}}
{{- fail (printf "canary.weight is %d, but nothing splits calls: it needs gateway.httpRoute, gateway.grpcRoute, or ingress.enabled with ingress.canary=weights" $weight) -}}
{{- end -}}
{{- if and (eq $weight 100) (not $routed) (not $v.ingress.enabled) -}}
{{- fail "canary.weight is 100, but callers of the Service stay with the release: it needs gateway.httpRoute, gateway.grpcRoute or ingress.enabled" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Gateway API accepts only the older one of a GRPCRoute and an HTTPRoute that meet at one listener and host name. */}}
{{- define "promedical.routeChecks" -}}
{{- $g := .Values.gateway -}}
{{- if and $g.grpcRoute (not (or $g.parentRefs $g.grpcParentRefs)) -}}
{{- fail "gateway.grpcRoute needs gateway.parentRefs or gateway.grpcParentRefs" -}}
{{- end -}}
{{- if and $g.httpRoute (not $g.parentRefs) -}}
{{- fail "gateway.httpRoute needs gateway.parentRefs" -}}
{{- end -}}
{{- if and $g.grpcRoute $g.httpRoute -}}
{{- $host := include "promedical.sharedHost" (dict "http" $g.hostnames "grpc" (default $g.hostnames $g.grpcHostnames)) -}}
{{- $listener := include "promedical.sharedListener" (dict "http" $g.parentRefs "grpc" (default $g.parentRefs $g.grpcParentRefs) "namespace" .Release.Namespace) -}}
{{- if and $host $listener -}}
{{- fail (printf "gateway.grpcRoute and gateway.httpRoute meet at %s and %s, where a Gateway accepts only one of them: it needs another host name in gateway.grpcHostnames, or another listener (sectionName) in gateway.grpcParentRefs" $host $listener) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A host name of both lists; no list means every name, and `*.` every name that ends so. Nothing if there is none. */}}
{{- define "promedical.sharedHost" -}}
{{- $found := empty (and .http .grpc) | ternary "every host name" "" -}}
{{- range $http := .http -}}
{{- range $grpc := $.grpc -}}
{{- $httpCovers := and (hasPrefix "*." $http) (hasSuffix (trimPrefix "*" $http) $grpc) -}}
{{- $grpcCovers := and (hasPrefix "*." $grpc) (hasSuffix (trimPrefix "*" $grpc) $http) -}}
{{- if or (eq $http $grpc) $httpCovers -}}
{{- $found = $grpc -}}
{{- else if $grpcCovers -}}
{{- $found = $http -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{/* A Gateway with a listener of both lists; nothing if there is none. Without sectionName and port, a route is at all. */}}
{{- define "promedical.sharedListener" -}}
{{- $found := "" -}}
{{- range $http := .http -}}
{{- range $grpc := $.grpc -}}
{{- $one := printf "%s %s/%s" (default "Gateway" $http.kind) (default $.namespace $http.namespace) (default "" $http.name) -}}
{{- $other := printf "%s %s/%s" (default "Gateway" $grpc.kind) (default $.namespace $grpc.namespace) (default "" $grpc.name) -}}
{{- $apart := and $http.sectionName $grpc.sectionName (ne (toString $http.sectionName) (toString $grpc.sectionName)) -}}
{{- $apart = or $apart (and $http.port $grpc.port (ne (int $http.port) (int $grpc.port))) -}}
{{- if and (eq $one $other) (not $apart) -}}
{{- $found = $one -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}
