{{/* Names, labels, images. */}}

{{- define "fedjob.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Names of cluster-scoped objects: unique for releases of one name in different namespaces. */}}
{{- define "fedjob.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "fedjob.fullname" .) -}}
{{- end -}}

{{- define "fedjob.serviceAccount" -}}
{{- default (printf "%s-operator" (include "fedjob.fullname" .)) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Selector labels of a component's pods: (dict "root" $ "component" "operator"). The NetworkPolicies
     of jobs use the operator's. */}}
{{- define "fedjob.selector" -}}
app.kubernetes.io/name: fedjob-{{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end -}}

{{- define "fedjob.labels" -}}
{{ include "fedjob.selector" . }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: fedjob
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "image" .Values.operator.image) */}}
{{- define "fedjob.image" -}}
{{- $registry := trimSuffix "/" .root.Values.imageRegistry -}}
{{- $name := ternary .image.repository (printf "%s/%s" $registry .image.repository) (empty $registry) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}
