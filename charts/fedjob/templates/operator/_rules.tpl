{{/* What the operator may do where it serves jobs. */}}
{{- define "fedjob.operatorRules" -}}
# Jobs are watched; `delete` is for ttlSecondsAfterFinished.
- apiGroups: [fedjob.dev]
  resources: [federatedjobs]
  verbs: [get, list, watch, delete]
- apiGroups: [fedjob.dev]
  resources: [federatedjobs/status]
  verbs: [patch]
# To own objects with blockOwnerDeletion, where OwnerReferencesPermissionEnforcement is on.
- apiGroups: [fedjob.dev]
  resources: [federatedjobs/finalizers]
  verbs: [update]
# What jobs are made of; Secrets and ConfigMaps are also what users' jobs refer to.
- apiGroups: [""]
  resources: [pods, services, configmaps, secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
