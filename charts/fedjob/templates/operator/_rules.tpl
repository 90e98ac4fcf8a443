{{/* The operator's rules in the namespaces that it serves. */}}
{{- define "fedjob.operatorRules" -}}
# `delete` is for ttlSecondsAfterFinished.
- apiGroups: [fedjob.dev]
  resources: [federatedjobs]
  verbs: [get, list, watch, delete]
- apiGroups: [fedjob.dev]
  resources: [federatedjobs/status]
  verbs: [patch]
# For blockOwnerDeletion, if the admission plugin OwnerReferencesPermissionEnforcement is enabled.
- apiGroups: [fedjob.dev]
  resources: [federatedjobs/finalizers]
  verbs: [update]
# The children of jobs; jobs also refer to Secrets and ConfigMaps of users.
- apiGroups: [""]
  resources: [pods, services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
# By their names only: a list would hold those of everybody.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
