{{/*
The ServiceAccount of a process (`process`), and the roles that files/rights.yaml gives it, each bound. The account is
in the release's namespace, or in `home` where that is given.
*/}}
{{- define "berth.account" -}}
{{- $rights := index (.root.Files.Get "files/rights.yaml" | fromYaml) .process -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: berth-{{ .process }}
  namespace: {{ .home | default .root.Release.Namespace }}
  labels:
    {{- include "berth.labels" (dict "root" .root "component" .process) | nindent 4 }}
{{- with $rights.release }}
{{ include "berth.role" (dict "root" $.root "process" $.process "namespace" $.root.Release.Namespace "rules" .) }}
{{- end }}
{{- with $rights.access }}
{{ include "berth.role" (dict "root" $.root "process" $.process "namespace" $.root.Values.namespaces.access "rules" .) }}
{{- end }}
{{- with $rights.keeper }}
{{ include "berth.role" (dict "root" $.root "process" $.process "namespace" $.root.Values.namespaces.keeper "rules" .) }}
{{- end }}
{{- with $rights.workspaces }}
{{- range $namespace := $.root.Values.namespaces.workspaces }}
{{ include "berth.role" (dict "root" $.root "process" $.process "namespace" $namespace "rules" $rights.workspaces) }}
{{- end }}
{{- end }}
{{- with $rights.cluster }}
{{ include "berth.role" (dict "root" $.root "process" $.process "home" $.home "rules" .) }}
{{- end }}
{{- end }}

{{/*
A role of a process with its binding: in a namespace, or in the cluster by the release's name where none is given.
*/}}
{{- define "berth.role" -}}
{{- $labels := include "berth.labels" (dict "root" .root "component" .process) | nindent 4 -}}
{{- $kind := ternary "Role" "ClusterRole" (hasKey . "namespace") -}}
{{- $name := printf "berth-%s" .process -}}
{{- $role := ternary $name (printf "%s-%s" $name .root.Release.Namespace) (hasKey . "namespace") -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $role }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- $labels }}
rules:
  {{- range .rules }}
  # {{ .for | trim }}
  - apiGroups: [{{ ternary .group "berth.dev" (hasKey . "group") | quote }}]
    resources: {{ toJson .resources }}
    {{- with .names }}
    resourceNames: {{ toJson . }}
    {{- end }}
    verbs: {{ toJson .verbs }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $role }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- $labels }}
{{ include "berth.binding" (dict "root" .root "kind" $kind "role" $role "account" $name "home" .home) }}
{{- end }}
