package packaging_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/goccy/go-yaml"
)

type object = map[string]any

// at goes down a document; a number is a place in a list.
func at(t *testing.T, from any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			inner, ok := from.(object)
			if !ok || inner[step] == nil {
				t.Fatalf("there is no %v of %v", step, path)
			}
			from = inner[step]
		case int:
			list, ok := from.([]any)
			if !ok || len(list) <= step {
				t.Fatalf("there is no %v of %v", step, path)
			}
			from = list[step]
		}
	}
	return from
}

func decode(t *testing.T, name, text string) (all []object) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var one object
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if len(one) > 0 {
			all = append(all, one)
		}
	}
}

// render renders the chart as Helm does, with the few functions that it uses, and
// gives its objects by kind and name.
func render(t *testing.T, change func(values object)) map[string]object {
	t.Helper()
	values := decode(t, "values.yaml", read(t, "helm/sekisho/values.yaml"))[0]
	change(values)
	functions := template.FuncMap{
		"quote": strconv.Quote,
		"toYaml": func(v any) (string, error) {
			text, err := yaml.Marshal(v)
			return strings.TrimRight(string(text), "\n"), err
		},
		"nindent": func(by int, text string) string {
			return "\n" + strings.Repeat(" ", by) + strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", by))
		},
	}
	files, err := filepath.Glob("helm/sekisho/templates/*")
	if err != nil || len(files) < 7 {
		t.Fatalf("templates %v %v", files, err)
	}
	objects := map[string]object{}
	for _, file := range files {
		parsed, err := template.New(file).Option("missingkey=error").Funcs(functions).Parse(read(t, file))
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := parsed.Execute(&text, object{"Values": values, "Release": object{"Name": "login"}}); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".txt") {
			continue
		}
		for _, one := range decode(t, file, text.String()) {
			objects[at(t, one, "kind").(string)+" "+at(t, one, "metadata", "name").(string)] = one
		}
	}
	return objects
}

func TestChart(t *testing.T) {
	t.Parallel()
	objects := render(t, func(object) {})
	for _, name := range []string{
		"Deployment login", "PodDisruptionBudget login", "Service login", "Service login-ops", "ConfigMap login-group", "NetworkPolicy login",
	} {
		if objects[name] == nil {
			t.Errorf("the chart makes no %s", name)
		}
	}
	if objects["ServiceMonitor login"] != nil {
		t.Error("a ServiceMonitor is made, though none was asked for")
	}
	spec := at(t, objects["Deployment login"], "spec")
	if replicas := at(t, spec, "replicas"); replicas != uint64(2) {
		t.Errorf("%v replicas", replicas)
	}
	pod := at(t, spec, "template", "spec")
	container := at(t, pod, "containers", 0)
	for _, wanted := range []struct {
		in   any
		path []any
		want any
	}{
		{pod, []any{"securityContext", "runAsNonRoot"}, true},
		{pod, []any{"securityContext", "seccompProfile", "type"}, "RuntimeDefault"},
		{pod, []any{"volumes", 1, "secret", "secretName"}, "sekisho"},
		{container, []any{"securityContext", "readOnlyRootFilesystem"}, true},
		{container, []any{"securityContext", "capabilities", "drop", 0}, "ALL"},
		{container, []any{"readinessProbe", "httpGet", "path"}, "/readyz"},
		{container, []any{"resources", "limits", "memory"}, "256Mi"},
	} {
		if got := at(t, wanted.in, wanted.path...); got != wanted.want {
			t.Errorf("%v is %v, want %v", wanted.path, got, wanted.want)
		}
	}
	if got := at(t, pod, "automountServiceAccountToken"); got != false {
		t.Error("the pod gets a token of the cluster")
	}
	checkGroup(t, at(t, objects["ConfigMap login-group"], "data", "group.yaml").(string))
}

// checkGroup asks the program itself, where it may be built.
func checkGroup(t *testing.T, group string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "group.yaml")
	if err := os.WriteFile(path, []byte(group), 0o600); err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		return
	}
	if out, err := exec.CommandContext(t.Context(), built(t), "check", path).CombinedOutput(); err != nil {
		t.Errorf("the group of the chart: %s", out)
	}
}

func TestChartWithEverything(t *testing.T) {
	t.Parallel()
	objects := render(t, func(values object) {
		values["requireSynchronous"], values["trustProxy"], values["otlp"] = true, "10.0.0.0/8", "http://collector:4318"
		values["eventNetworks"] = "10.1.0.0/16"
		values["serviceMonitor"].(object)["enabled"] = true
		values["networkPolicy"].(object)["enabled"] = false
	})
	if objects["ServiceMonitor login"] == nil || objects["NetworkPolicy login"] != nil {
		t.Error("what is asked for is not made, or what is not asked for is")
	}
	given := map[string]any{}
	for _, one := range at(t, objects["Deployment login"], "spec", "template", "spec", "containers", 0, "env").([]any) {
		given[at(t, one, "name").(string)] = at(t, one, "value")
	}
	for name, want := range map[string]string{
		"SEKISHO_REQUIRE_SYNCHRONOUS": "true", "SEKISHO_TRUST_PROXY": "10.0.0.0/8", "SEKISHO_EVENT_NETWORKS": "10.1.0.0/16",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "SEKISHO_DATABASE_FILE": "/run/secrets/sekisho/database",
	} {
		if given[name] != want {
			t.Errorf("%s is %v", name, given[name])
		}
	}
}
