{{/* What the pods of all services have in common. Takes root, component, args, and settings (the service's values). */}}
{{- define "flexmesh.podMetadata" -}}
labels:
  {{- include "flexmesh.selector" . | nindent 2 }}
annotations:
  checksum/config: {{ include (print .root.Template.BasePath "/config.yaml") .root | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "flexmesh.podPlacement" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "flexmesh.container" -}}
name: {{ .component }}
image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
envFrom:
  - configMapRef:
      name: {{ include "flexmesh.name" .root }}
env:
  - name: FLEXMESH_DATABASE_URL
    valueFrom: {secretKeyRef: {name: {{ include "flexmesh.secret" .root }}, key: database-url}}
  - name: FLEXMESH_BROKER_URL
    valueFrom: {secretKeyRef: {name: {{ include "flexmesh.secret" .root }}, key: broker-url}}
  - name: FLEXMESH_SERVICE_TOKEN
    valueFrom: {secretKeyRef: {name: {{ include "flexmesh.secret" .root }}, key: service-token}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- with .settings }}
resources:
  {{- toYaml .resources | nindent 2 }}
{{- end }}
{{- end }}

{{- define "flexmesh.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "flexmesh.name" .root }}-{{ .component }}
  labels:
    {{- include "flexmesh.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not .scaled }}
  replicas: {{ .settings.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "flexmesh.selector" . | nindent 6 }}
  template:
    metadata:
      {{- include "flexmesh.podMetadata" . | nindent 6 }}
    spec:
      {{- include "flexmesh.podPlacement" . | nindent 6 }}
      terminationGracePeriodSeconds: {{ .grace | default 30 }}
      volumes:
        - {name: tmp, emptyDir: {}}
      containers:
        - {{- include "flexmesh.container" . | nindent 10 }}
          ports:
            - {name: http, containerPort: 5000}
          startupProbe:
            httpGet: {path: /health/live, port: http}
            periodSeconds: 1
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /health/live, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
          readinessProbe:
            httpGet: {path: {{ .ready | default "/health/ready" }}, port: http}
            periodSeconds: 5
            timeoutSeconds: 5
{{- end }}
