{{/* The operator's settings, as listed in fedjob_operator.settings. */}}

{{- define "fedjob.storeEnv" -}}
- name: FEDJOB_STORE_BUCKET
  value: {{ include "fedjob.bucket" . | quote }}
- name: FEDJOB_STORE_PREFIX
  value: {{ .Values.storage.prefix | quote }}
- name: FEDJOB_STORE_ENDPOINT
  value: {{ include "fedjob.endpoint" . | quote }}
- name: FEDJOB_STORE_REGION
  value: {{ .Values.storage.region | quote }}
{{- with include "fedjob.keysSecret" . }}
{{- $secret := . }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: {{ . }}}
{{- end }}
- name: AWS_SESSION_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: AWS_SESSION_TOKEN, optional: true}
{{- end }}
{{- end -}}

{{- define "fedjob.transferEnv" -}}
- name: FEDJOB_STORE_CLIENT_ENDPOINT
  value: {{ .Values.storage.clientEndpoint | quote }}
- name: FEDJOB_STORE_TUNNEL
  value: {{ include "fedjob.tunnel" . | quote }}
- name: FEDJOB_UPLOAD_MAX_FILE_BYTES
  value: {{ int64 .Values.uploads.maxFileBytes | quote }}
- name: FEDJOB_UPLOAD_MAX_BYTES
  value: {{ int64 .Values.uploads.maxBytes | quote }}
- name: FEDJOB_UPLOAD_DAYS
  value: {{ .Values.uploads.days | quote }}
{{- end -}}

{{- define "fedjob.operatorEnv" -}}
- name: FEDJOB_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: FEDJOB_POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: FEDJOB_NAMESPACES
  value: {{ include "fedjob.namespaces" . | quote }}
- name: FEDJOB_CLUSTER_ID
  value: {{ .Values.clusterId | quote }}
{{ include "fedjob.storeEnv" . }}
- name: FEDJOB_STORE_SHARED
  value: {{ join "," .Values.storage.shared | quote }}
- name: FEDJOB_STORE_ALLOWED_ENDPOINTS
  value: {{ join "," .Values.storage.allowedEndpoints | quote }}
- name: FEDJOB_STORE_POD_PORT
  value: {{ with .Values.storage.podPort }}{{ int . | quote }}{{ else }}""{{ end }}
{{ include "fedjob.transferEnv" . }}
- name: FEDJOB_BASE_IMAGE
  value: {{ include "fedjob.image" (dict "root" . "image" .Values.jobs.image) | quote }}
- name: FEDJOB_REPOSITORY
  value: {{ include "fedjob.jobsRepository" . | quote }}
- name: FEDJOB_PULL_SECRETS
  value: {{ join "," .Values.jobs.pullSecrets | quote }}
- name: FEDJOB_NETWORK_POLICIES
  value: {{ .Values.jobs.networkPolicies | quote }}
- name: FEDJOB_DEFAULT_CPU
  value: {{ .Values.jobs.cpu | quote }}
- name: FEDJOB_DEFAULT_MEMORY
  value: {{ .Values.jobs.memory | quote }}
- name: FEDJOB_DEFAULT_MEMORY_LIMIT
  value: {{ .Values.jobs.memoryLimit | quote }}
- name: FEDJOB_SUPERVISOR_CPU
  value: {{ .Values.jobs.supervisor.cpu | quote }}
- name: FEDJOB_SUPERVISOR_MEMORY
  value: {{ .Values.jobs.supervisor.memory | quote }}
- name: FEDJOB_SUPERVISOR_MEMORY_LIMIT
  value: {{ .Values.jobs.supervisor.memoryLimit | quote }}
- name: FEDJOB_WORK_SIZE_LIMIT
  value: {{ .Values.jobs.workSizeLimit | quote }}
- name: FEDJOB_DEFAULT_TTL_SECONDS
  value: {{ int64 .Values.jobs.ttlSecondsAfterFinished | quote }}
- name: FEDJOB_REGISTRY_INSECURE
  value: {{ .Values.builds.insecure | quote }}
- name: FEDJOB_ALLOWED_REGISTRIES
  value: {{ join "," .Values.builds.allowedRegistries | quote }}
{{- if include "fedjob.hasCa" . }}
- name: FEDJOB_REGISTRY_CA
  value: /etc/fedjob/ca/ca.crt
{{- end }}
{{- if include "fedjob.credentialsSecret" . }}
- name: FEDJOB_REGISTRY_CONFIG
  value: /etc/fedjob/registry/config.json
{{- end }}
- name: FEDJOB_SHARE_PULL_CREDENTIALS
  value: {{ and .Values.registry.enabled .Values.registry.auth.enabled | quote }}
{{- with .Values.builds.dockerHost }}
- name: DOCKER_HOST
  value: {{ . | quote }}
{{- end }}
{{- if .Values.builds.dockerTls.secretName }}
- name: DOCKER_TLS_VERIFY
  value: "1"
- name: DOCKER_CERT_PATH
  value: /etc/fedjob/docker
{{- end }}
- name: FEDJOB_KITS_FOLDER
  value: /var/lib/fedjob-kits
- name: FEDJOB_HTTP_PORT
  value: "8080"
- name: FEDJOB_LOG_LEVEL
  value: {{ .Values.operator.logLevel | quote }}
- name: FEDJOB_RESYNC_SECONDS
  value: {{ .Values.operator.resyncSeconds | quote }}
- name: FEDJOB_WORKERS
  value: {{ .Values.operator.workers | quote }}
{{- with .Values.operator.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
