{{/* Names are fixed: processes find each other by them (core/berth_core/names.py). One release a namespace. */}}

{{- define "berth.selector" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "berth.image" -}}
{{ include "berth.reference" (dict "root" . "image" .Values.image) }}
{{- end }}

{{/* An image's full name. */}}
{{- define "berth.reference" -}}
{{- if .image.digest -}}
{{ printf "%s@%s" .image.repository .image.digest }}
{{- else -}}
{{ printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{- define "berth.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Settings of a pod and of a container that Pod Security `restricted` requires. */}}
{{- define "berth.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "berth.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Placement of a process on nodes, from its values. */}}
{{- define "berth.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Environment that all processes share. */}}
{{- define "berth.environment" -}}
- name: BERTH_NAMESPACE
  value: {{ .Release.Namespace }}
- name: BERTH_WORKSPACE_NAMESPACES
  value: {{ join "," .Values.namespaces.workspaces }}
- name: BERTH_ACCESS_NAMESPACE
  value: {{ .Values.namespaces.access }}
{{- end }}

{{/* A RoleBinding's last parts: role and service account of one name. */}}
{{- define "berth.binding" -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind | default "Role" }}
  name: {{ .role }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .home | default .root.Release.Namespace }}
{{- end }}

{{/*
Binds a policy (`policy`) so that it refuses: where `namespaces` are given, in these only; with `params`, once for each
object of its paramKind in the same namespace, or in `paramsIn`.
*/}}
{{- define "berth.enforced" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name | default .policy }}
  labels:
    {{- include "berth.labels" (dict "root" .root "component" "policies") | nindent 4 }}
spec:
  policyName: {{ .policy }}
  validationActions: [Deny]
  {{- if .params }}
  paramRef:
    selector: {}
    parameterNotFoundAction: Allow
    {{- with .paramsIn }}
    namespace: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .namespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values:
            {{- toYaml . | nindent 12 }}
  {{- end }}
{{- end }}

{{/* Condition of a policy: the request is not from Kubernetes' own controllers (garbage collection, namespaces). */}}
{{- define "berth.notKubernetes" -}}
- name: not-kubernetes-itself
  expression: >-
    !("system:serviceaccounts:kube-system" in request.userInfo.groups)
    && request.userInfo.username != "system:kube-controller-manager"
{{- end }}

{{/* Condition of a policy: the requester may not write Berth's own marks. */}}
{{- define "berth.withoutClaim" -}}
- name: without-claim
  expression: >-
    !authorizer.group("berth.dev").resource("instances").namespace(request.namespace).check("claim").allowed()
{{- end }}

{{/* Condition of a policy: the requester may not write pods and workloads. */}}
{{- define "berth.withoutOperate" -}}
- name: without-operate
  expression: >-
    !authorizer.group("berth.dev").resource("instances").namespace(request.namespace).check("operate").allowed()
{{- end }}

{{/* Condition of a policy: the requester is an API process, of any release. */}}
{{- define "berth.byTheApi" -}}
- name: by-the-api-process
  expression: request.userInfo.username.matches("^system:serviceaccount:[^:]+:berth-api$")
{{- end }}

{{/*
Variables of a policy: labels and annotations of Berth that a request changes, owners, finalizers that it adds, and
whether the name is one that Berth gives.
*/}}
{{- define "berth.marks" -}}
- name: labels
  expression: object.metadata.?labels.orValue({})
- name: oldLabels
  expression: 'request.operation == "CREATE" ? {} : oldObject.metadata.?labels.orValue({})'
- name: changedLabels
  expression: >-
    variables.labels.filter(k, k.startsWith("berth.dev/")
      && (!(k in variables.oldLabels) || variables.oldLabels[k] != variables.labels[k]))
    + variables.oldLabels.filter(k, k.startsWith("berth.dev/") && !(k in variables.labels))
- name: annotations
  expression: object.metadata.?annotations.orValue({})
- name: oldAnnotations
  expression: 'request.operation == "CREATE" ? {} : oldObject.metadata.?annotations.orValue({})'
- name: changedAnnotations
  expression: >-
    variables.annotations.filter(k, k.startsWith("berth.dev/")
      && (!(k in variables.oldAnnotations) || variables.oldAnnotations[k] != variables.annotations[k]))
    + variables.oldAnnotations.filter(k, k.startsWith("berth.dev/") && !(k in variables.annotations))
- name: owners
  expression: object.metadata.?ownerReferences.orValue([])
- name: oldOwners
  expression: 'request.operation == "CREATE" ? [] : oldObject.metadata.?ownerReferences.orValue([])'
- name: addedFinalizers
  expression: >-
    object.metadata.?finalizers.orValue([]).filter(f, request.operation == "CREATE"
      || !(f in oldObject.metadata.?finalizers.orValue([])))
# core/berth_core/names.py says which these are.
- name: reservedNames
  expression: {{ get (.Files.Get "files/names.json" | fromJson) "reserved" | quote | squote }}
- name: hasReservedName
  expression: object.metadata.?name.orValue("").matches(variables.reservedNames)
{{- end }}

{{/*
Validations of a policy: no deletion strips what it owns of its owner, or deletes that first. Nor does a finalizer that
asks for either, which only Kubernetes sets.
*/}}
{{- define "berth.inBackground" -}}
- expression: >-
    request.operation == "DELETE" || !object.metadata.?finalizers.orValue([]).exists(f,
      f in ["foregroundDeletion", "orphan"]
      && (request.operation == "CREATE" || !(f in oldObject.metadata.?finalizers.orValue([]))))
  message: "only Kubernetes sets the finalizers foregroundDeletion and orphan here: leave them out"
  reason: Forbidden
- expression: >-
    request.operation != "DELETE"
    || (dyn(request.?options.orValue({})).?propagationPolicy.orValue("Background") in ["", "Background"]
      && !dyn(request.?options.orValue({})).?orphanDependents.orValue(false))
  message: "its parts outlive it until Berth has cleared them: delete it in the background, as kubectl does by itself"
  reason: Forbidden
{{- end }}

{{/* Annotations of a hook and of the objects that it needs. */}}
{{- define "berth.hook" -}}
helm.sh/hook: {{ .events }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/*
Networks in 0.0.0.0/0 and in 2000::/3 that are not public, and those that values block; lists as JSON. The notifier
refuses all of them too, and more (core/berth_core/firewall/special.py, from which the file is made).
*/}}
{{- define "berth.notPublic4" -}}
{{- $found := get (.Files.Get "files/not-public.json" | fromJson) "4" -}}
{{- range concat .Values.instances.blockedCidrs (.Values.instances.machineCidrs | default list) -}}
{{- if regexMatch "^[0-9.]+/([1-9]|[12][0-9]|3[0-2])$" . -}}{{- $found = append $found . -}}{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end }}
{{- define "berth.notPublic6" -}}
{{- $found := get (.Files.Get "files/not-public.json" | fromJson) "6" -}}
{{- range concat .Values.instances.blockedCidrs (.Values.instances.machineCidrs | default list) -}}
{{- if regexMatch "^[23][0-9A-Fa-f]{3}:.*/([4-9]|[1-9][0-9]+)$" . -}}{{- $found = append $found . -}}{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end }}

{{/* Storage of builds' logs and artifacts: environment, mounts, volumes of operator and API; empty for ConfigMaps. */}}
{{- define "berth.archiveEnvironment" -}}
{{- with .Values.ci.archive -}}
{{- if .bucket -}}
- name: BERTH_ARCHIVE
  value: {{ .bucket | quote }}
- name: BERTH_ARCHIVE_ENDPOINT
  value: {{ .endpoint | quote }}
- name: BERTH_ARCHIVE_REGION
  value: {{ .region | quote }}
{{- if .caConfigMap }}
- name: BERTH_ARCHIVE_CA_FILE
  value: /etc/berth/archive-ca/ca.crt
{{- end }}
{{- if .secret }}
- name: BERTH_ARCHIVE_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: keyId}
- name: BERTH_ARCHIVE_SECRET
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: secret}
{{- end }}
{{- else if .claim -}}
- name: BERTH_ARCHIVE
  value: file:///var/lib/berth/archive
{{- end }}
{{- end }}
{{- end }}
{{- define "berth.archiveMount" -}}
{{- with .root.Values.ci.archive -}}
{{- if and .bucket .caConfigMap -}}
- name: archive-ca
  mountPath: /etc/berth/archive-ca
  readOnly: true
{{- else if and .claim (not .bucket) -}}
- name: archive
  mountPath: /var/lib/berth/archive
  readOnly: {{ $.readOnly }}
{{- end }}
{{- end }}
{{- end }}
{{- define "berth.archiveVolume" -}}
{{- with .Values.ci.archive -}}
{{- if and .bucket .caConfigMap -}}
- name: archive-ca
  configMap: {name: {{ .caConfigMap }}}
{{- else if and .claim (not .bucket) -}}
- name: archive
  persistentVolumeClaim: {claimName: {{ .claim }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Egress of a pod to the bucket of ci.archive and to DNS for its name: items of a policy's egress. */}}
{{- define "berth.archiveEgress" -}}
{{- $archive := .Values.ci.archive -}}
{{- $policy := .Values.networkPolicy -}}
- ports:
    {{- range $policy.dns.ports }}
    - {protocol: UDP, port: {{ . }}}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
- ports:
    - protocol: TCP
      port: {{ $policy.archive.port | default (include "berth.port" (dict "url" $archive.endpoint "default" (ternary 80 443 (hasPrefix "http:" $archive.endpoint)))) }}
  {{- with $policy.archive.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* ConfigMap with the CA of the OIDC provider; empty where there is none. */}}
{{- define "berth.oidcCa" -}}
{{- with .Values.tokens.oidc }}{{ if .issuer }}{{ .caConfigMap }}{{ end }}{{ end -}}
{{- end }}

{{/* Scheme of the API, and the port of its Service. */}}
{{- define "berth.apiScheme" -}}
{{- if .Values.api.tls.secretName }}https{{ else }}http{{ end -}}
{{- end }}
{{- define "berth.apiPort" -}}
{{- .Values.api.service.port | default (ternary 443 80 (eq (include "berth.apiScheme" .) "https")) -}}
{{- end }}

{{/* Plain HTTP beyond the cluster, which only api.allowPlainHttp permits. */}}
{{- define "berth.checkPlainHttp" -}}
{{- $api := .Values.api -}}
{{- $clear := "tokens and keys would cross the network in the clear. Set" -}}
{{- $unless := "or api.allowPlainHttp=true where that is meant" -}}
{{- if and (ne $api.service.type "ClusterIP") (not $api.tls.secretName) -}}
{{- fail (printf "api.service.type is %s, without TLS: %s api.tls.secretName to a Secret with tls.crt and tls.key, %s" $api.service.type $clear $unless) -}}
{{- end -}}
{{- if and $api.ingress.enabled (not $api.ingress.tls.secretName) -}}
{{- fail (printf "api.ingress has no TLS: %s api.ingress.tls.secretName to a Secret with tls.crt and tls.key, %s" $clear $unless) -}}
{{- end -}}
{{- if $api.httpRoute.enabled -}}
{{- if not $api.httpRoute.tls -}}
{{- fail (printf "api.httpRoute.tls is false: %s it to true where the listeners of parentRefs have protocol HTTPS, %s" $clear $unless) -}}
{{- end -}}
{{- range $api.httpRoute.parentRefs -}}
{{- if not .sectionName -}}
{{- fail (printf "api.httpRoute.parentRefs names %s without a listener: on its plain ones %s sectionName to one with protocol HTTPS, %s" .name $clear $unless) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Port of an URL (`url`), or `default` where it names none. */}}
{{- define "berth.port" -}}
{{- regexFind ":[0-9]+$" (urlParse .url).host | trimPrefix ":" | default .default -}}
{{- end }}

{{/* Values that exclude each other; the schema cannot say it. */}}
{{- define "berth.check" -}}
{{- $access := .Values.namespaces.access -}}
{{- if or (has $access .Values.namespaces.workspaces) (eq $access .Release.Namespace) -}}
{{- fail (printf "namespaces.access is %s: give the private keys of users a namespace of their own" $access) -}}
{{- end -}}
{{- if has .Release.Namespace .Values.namespaces.workspaces -}}
{{- fail (printf "namespaces.workspaces has %s, the release's namespace: pods of leases need namespaces of their own" .Release.Namespace) -}}
{{- end -}}
{{- $devices := .Values.namespaces.devices -}}
{{- if and .Values.devices.enabled (has $devices (concat .Values.namespaces.workspaces (list $access .Release.Namespace))) -}}
{{- fail (printf "namespaces.devices is %s: give the driver for devices a namespace of its own" $devices) -}}
{{- end -}}
{{- if and .Values.devices.enabled (not .Values.clusterResources.create) -}}
{{- fail "devices.enabled needs clusterResources.create: one release of a cluster has the driver for devices" -}}
{{- end -}}
{{- $oidc := .Values.tokens.oidc -}}
{{- if ne (empty $oidc.issuer) (empty $oidc.jwksURL) -}}
{{- fail "tokens.oidc.issuer and tokens.oidc.jwksURL belong together: give both, or none" -}}
{{- end -}}
{{- if eq $oidc.issuer .Values.tokens.issuer -}}
{{- fail "tokens.oidc.issuer and tokens.issuer are the same: one could speak for the other" -}}
{{- end -}}
{{- if and .Values.rateLimit.redisURL .Values.rateLimit.redisURLSecret.name -}}
{{- fail "rateLimit has redisURL and redisURLSecret: give one of them" -}}
{{- end -}}
{{- if and .Values.ci.archive.bucket .Values.ci.archive.claim -}}
{{- fail "ci.archive has bucket and claim: give one of them" -}}
{{- end -}}
{{- if not .Values.api.allowPlainHttp -}}
{{- include "berth.checkPlainHttp" . -}}
{{- end -}}
{{- end }}
