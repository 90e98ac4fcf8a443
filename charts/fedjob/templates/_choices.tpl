{{/* Settings that depend on several values. */}}

{{/* The namespaces to serve, separated by commas; empty: every namespace. */}}
{{- define "fedjob.namespaces" -}}
{{- if not .Values.clusterWide -}}
{{- join "," (default (list .Release.Namespace) .Values.namespaces) -}}
{{- end -}}
{{- end -}}

{{- define "fedjob.storeName" -}}
{{- printf "%s-store" (include "fedjob.fullname" .) -}}
{{- end -}}

{{- define "fedjob.tunnelName" -}}
{{- printf "%s-tunnel" (include "fedjob.fullname" .) -}}
{{- end -}}

{{/* namespace/pod:port to which clients without keys forward a port; empty if there is none. */}}
{{- define "fedjob.tunnel" -}}
{{- if and .Values.store.enabled .Values.store.tunnel.enabled (not .Values.storage.clientEndpoint) -}}
{{- printf "%s/%s-0:8333" .Release.Namespace (include "fedjob.tunnelName" .) -}}
{{- end -}}
{{- end -}}

{{- define "fedjob.storeSecret" -}}
{{- default (include "fedjob.storeName" .) .Values.store.existingSecret -}}
{{- end -}}

{{/* The default store's bucket, endpoint and Secret; empty if not configured. */}}
{{- define "fedjob.bucket" -}}
{{- default (ternary "fedjob" "" .Values.store.enabled) .Values.storage.bucket -}}
{{- end -}}

{{- define "fedjob.endpoint" -}}
{{- if .Values.store.enabled -}}
{{- printf "http://%s.%s.svc:8333" (include "fedjob.storeName" .) .Release.Namespace -}}
{{- else -}}
{{- .Values.storage.endpoint -}}
{{- end -}}
{{- end -}}

{{- define "fedjob.keysSecret" -}}
{{- if .Values.store.enabled -}}
{{- include "fedjob.storeSecret" . -}}
{{- else -}}
{{- .Values.storage.secretName -}}
{{- end -}}
{{- end -}}

{{- define "fedjob.registryName" -}}
{{- printf "%s-registry" (include "fedjob.fullname" .) -}}
{{- end -}}

{{- define "fedjob.registryHost" -}}
{{- printf "%s.%s.svc:5000" (include "fedjob.registryName" .) .Release.Namespace -}}
{{- end -}}

{{- define "fedjob.registrySecret" -}}
{{- default (printf "%s-tls" (include "fedjob.registryName" .)) .Values.registry.tls.existingSecret -}}
{{- end -}}

{{- define "fedjob.registryAuthSecret" -}}
{{- default (printf "%s-auth" (include "fedjob.registryName" .)) .Values.registry.auth.existingSecret -}}
{{- end -}}

{{/* Secret with the operator's credentials for registries; empty if there is none. */}}
{{- define "fedjob.credentialsSecret" -}}
{{- if .Values.builds.credentialsSecret -}}
{{- .Values.builds.credentialsSecret -}}
{{- else if and .Values.registry.enabled .Values.registry.auth.enabled -}}
{{- include "fedjob.registryAuthSecret" . -}}
{{- end -}}
{{- end -}}

{{- define "fedjob.jobsRepository" -}}
{{- if .Values.registry.enabled -}}
{{- printf "%s/fedjob/jobs" (include "fedjob.registryHost" .) -}}
{{- else -}}
{{- .Values.jobs.repository -}}
{{- end -}}
{{- end -}}

{{/* "true" if the operator gets additional CA certificates. */}}
{{- define "fedjob.hasCa" -}}
{{- if or .Values.builds.ca.configMap (and .Values.registry.enabled .Values.registry.tls.enabled) -}}
true
{{- end -}}
{{- end -}}
