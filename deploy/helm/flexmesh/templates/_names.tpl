{{- define "flexmesh.name" -}}
{{- if contains "flexmesh" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-flexmesh" (.Release.Name | trunc 31 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "flexmesh.secret" -}}
{{ .Values.secret.existing | default (include "flexmesh.name" .) }}
{{- end }}

{{- define "flexmesh.labels" -}}
app.kubernetes.io/name: flexmesh
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "flexmesh.selector" -}}
app.kubernetes.io/name: flexmesh
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "flexmesh.databaseUrl" -}}
{{- if .Values.timescaledb.enabled -}}
postgresql://flexmesh:{{ include "flexmesh.generated" (dict "root" . "key" "database-password") }}@{{ include "flexmesh.name" . }}-timescaledb:5432/flexmesh
{{- else -}}
{{ required "Set database.url, secret.existing, or timescaledb.enabled=true." .Values.database.url }}
{{- end -}}
{{- end }}

{{- define "flexmesh.brokerUrl" -}}
{{- if .Values.rabbitmq.enabled -}}
amqp://flexmesh:{{ include "flexmesh.generated" (dict "root" . "key" "broker-password") }}@{{ include "flexmesh.name" . }}-rabbitmq:5672/
{{- else -}}
{{ required "Set broker.url, secret.existing, or rabbitmq.enabled=true." .Values.broker.url }}
{{- end -}}
{{- end }}

{{/* A random word that is made at the first install and read back from the Secret at every upgrade. */}}
{{- define "flexmesh.generated" -}}
{{- $name := include "flexmesh.name" .root -}}
{{- $kept := (lookup "v1" "Secret" .root.Release.Namespace $name | default dict).data | default dict -}}
{{- if hasKey $kept .key -}}
{{ get $kept .key | b64dec }}
{{- else -}}
{{- $made := .root.Values.made | default dict -}}
{{- if not (hasKey $made .key) -}}{{- $_ := set $made .key (randAlphaNum 32) -}}{{- end -}}
{{- $_ := set .root.Values "made" $made -}}
{{ get $made .key }}
{{- end -}}
{{- end }}
