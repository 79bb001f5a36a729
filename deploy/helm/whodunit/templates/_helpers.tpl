{{- define "whodunit.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "whodunit.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "whodunit.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "whodunit.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "whodunit.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "whodunit.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{/* The settings as written, with the folder of `runbooks` added where there are some, and with what `executor` means. */}}
{{- define "whodunit.settings" -}}
{{- $settings := deepCopy .Values.settings }}
{{- if .Values.runbooks }}
{{- $runbooks := deepCopy (default dict $settings.runbooks) }}
{{- $_ := set $runbooks "folders" (append (default list $runbooks.folders) "/etc/whodunit/runbooks") }}
{{- $_ := set $settings "runbooks" $runbooks }}
{{- end }}
{{- if .Values.executor.enabled }}
{{- $_ := set $settings "worker" (merge (dict "executor" "kubernetes-job") (default dict $settings.worker)) }}
{{- $url := printf "http://%s.%s.svc:%v" (include "whodunit.fullname" .) .Release.Namespace .Values.service.port }}
{{- $job := dict "namespaces" .Values.executor.namespaces "image" (include "whodunit.image" .) "service_url" $url }}
{{- $_ := set $job "service_account" .Values.executor.serviceAccount }}
{{- $_ := set $job "sources_secret" .Values.executor.sourcesSecret }}
{{- $_ := set $job "requests" .Values.executor.requests }}
{{- $_ := set $job "limits" .Values.executor.limits }}
{{- $_ := set $job "image_pull_secrets" (list) }}
{{- range .Values.imagePullSecrets }}{{ $_ := set $job "image_pull_secrets" (append $job.image_pull_secrets .name) }}{{ end }}
{{- $_ := set $settings "job" (merge (deepCopy (default dict $settings.job)) $job) }}
{{- end }}
{{- toYaml $settings }}
{{- end }}

{{/* Rules of the files named in .files, without the resources in rbac.without. */}}
{{- define "whodunit.rules" -}}
{{- $without := .root.Values.rbac.without }}
{{- $root := .root }}
{{- range $file := .files }}
{{- range $rule := $root.Files.Get $file | fromYamlArray }}
{{- $resources := list }}
{{- range $rule.resources }}{{ if not (has . $without) }}{{ $resources = append $resources . }}{{ end }}{{ end }}
{{- if $resources }}
- apiGroups: {{ toJson $rule.apiGroups }}
  resources: {{ toJson $resources }}
  verbs: {{ toJson $rule.verbs }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
