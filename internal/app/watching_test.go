package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/sekisho-id/sekisho/internal/courier"
)

const (
	alertsFile    = "../../packaging/prometheus/alerts.yaml"
	dashboardFile = "../../packaging/grafana/sekisho.json"
)

// TestDashboardAndAlertsNameMetricsThatExist reads every expression in them and
// looks for its metrics and labels in what the server says at /metrics.
func TestDashboardAndAlertsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.app.Answered(httptest.NewRequest(http.MethodGet, "/", nil), http.StatusOK, time.Millisecond)
	w.app.Tried(courier.Outcome{Receiver: "pay", Result: courier.ResultDelivered})
	w.receiver("pay.backend").makeStream(members{"delivery": members{"method": "urn:ietf:rfc:8935", "endpoint_url": "https://pay.test/events"}})
	said := w.metrics()

	expressions := append(alertExpressions(t), dashboardExpressions(t)...)
	if len(expressions) < 30 {
		t.Fatalf("%d expressions: the files are not read right", len(expressions))
	}
	metric := regexp.MustCompile(`\b((?:sekisho|process|go)_[a-z_]+)(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)"`)
	grouping := regexp.MustCompile(`\bby \(([a-z, ]+)\)`)
	for _, expression := range expressions {
		found := metric.FindAllStringSubmatch(expression, -1)
		if len(found) == 0 && !strings.Contains(expression, "up{") {
			t.Errorf("no metric in %s", expression)
		}
		for _, one := range found {
			line := regexp.MustCompile(`(?m)^` + one[1] + `(\{[^}]*\})? `).FindString(said)
			if line == "" {
				t.Errorf("%s is not at /metrics", one[1])
				continue
			}
			var labels []string
			for _, l := range label.FindAllStringSubmatch(one[2], -1) {
				labels = append(labels, l[1])
			}
			for _, g := range grouping.FindAllStringSubmatch(expression, -1) {
				labels = append(labels, strings.Split(g[1], ", ")...)
			}
			for _, l := range labels {
				if !strings.Contains(line, l+`="`) && l != "instance" && l != "job" { // these two are Prometheus's
					t.Errorf("%s has no label %s", one[1], l)
				}
			}
		}
	}
}

func alertExpressions(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rule.Annotations["summary"] == "" || !slices.Contains([]string{"page", "ticket"}, rule.Labels["severity"]) {
				t.Errorf("the alert %q lacks a summary or a severity", rule.Alert)
			}
			all = append(all, rule.Expr)
		}
	}
	return all
}

func dashboardExpressions(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, panel := range file.Panels {
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	return all
}

// TestAlertsAreGoodPromQL asks Prometheus's own tool (Debian: prometheus).
func TestAlertsAreGoodPromQL(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: prometheus)")
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", alertsFile).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func TestMetricsTellOfStateAsReadinessDoes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	said := w.metrics()
	for _, want := range []string{
		`sekisho_ready{part="audit"} 1`, `sekisho_ready{part="database"} 1`, `sekisho_ready{part="group"} 1`, `sekisho_audit_queue_records 0`,
	} {
		if !strings.Contains(said, want+"\n") && !strings.Contains(said, want+".0\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	for _, purpose := range []string{"access", "id"} {
		if !strings.Contains(said, `sekisho_signing_key_due_timestamp_seconds{purpose="`+purpose+`"} 1.8077`) { // 90 days from the clock of the tests
			t.Errorf("/metrics does not say when the key for %s is due", purpose)
		}
	}
	if err := w.app.DB.Close(); err != nil {
		t.Fatal(err)
	}
	if said = w.metrics(); !strings.Contains(said, `sekisho_ready{part="database"} 0`) {
		t.Error("the database is closed, and /metrics says that it is ready")
	}
}
