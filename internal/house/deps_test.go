package house_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// linked lists the foreign modules that may be linked into what we ship, each
// with the need it serves. A statement of policy: do not change this data to
// fix a build.
var linked = map[string]map[string]string{
	"./cmd/sekisho": {
		"github.com/alecthomas/kong":                                      "command line",
		"github.com/beorn7/perks":                                         "of client_golang",
		"github.com/boombuler/barcode":                                    "of pquerna/otp",
		"github.com/cenkalti/backoff/v5":                                  "of the OTLP exporter",
		"github.com/cespare/xxhash/v2":                                    "of client_golang",
		"github.com/coreos/go-oidc/v3":                                    "sign-in at providers of others",
		"github.com/dustin/go-humanize":                                   "of modernc.org/libc",
		"github.com/fxamacker/cbor/v2":                                    "of webauthn",
		"github.com/go-jose/go-jose/v4":                                   "JOSE of others' tokens and keys",
		"github.com/go-logr/logr":                                         "of otel",
		"github.com/go-logr/stdr":                                         "of otel",
		"github.com/go-viper/mapstructure/v2":                             "of webauthn",
		"github.com/go-webauthn/webauthn":                                 "passkeys",
		"github.com/go-webauthn/x":                                        "of webauthn",
		"github.com/goccy/go-yaml":                                        "the group file, with positions",
		"github.com/golang-jwt/jwt/v5":                                    "of webauthn",
		"github.com/google/go-tpm":                                        "of webauthn",
		"github.com/google/uuid":                                          "of modernc.org/libc",
		"github.com/grpc-ecosystem/grpc-gateway/v2":                       "of the OTLP messages, beside their services",
		"github.com/jackc/pgpassfile":                                     "of pgx",
		"github.com/jackc/pgservicefile":                                  "of pgx",
		"github.com/jackc/pgx/v5":                                         "PostgreSQL",
		"github.com/jackc/puddle/v2":                                      "of pgx",
		"github.com/mfridman/interpolate":                                 "of goose",
		"github.com/munnerz/goautoneg":                                    "of client_golang",
		"github.com/philhofer/fwd":                                        "of webauthn",
		"github.com/pquerna/otp":                                          "codes of authenticator apps",
		"github.com/pressly/goose/v3":                                     "migrations",
		"github.com/prometheus/client_golang":                             "metrics",
		"github.com/prometheus/client_model":                              "of client_golang",
		"github.com/prometheus/common":                                    "of client_golang",
		"github.com/prometheus/procfs":                                    "of client_golang",
		"github.com/remyoudompheng/bigfft":                                "of modernc.org/mathutil",
		"github.com/santhosh-tekuri/jsonschema/v6":                        "schemas of authorization details",
		"github.com/sethvargo/go-retry":                                   "of goose",
		"github.com/tinylib/msgp":                                         "of webauthn",
		"github.com/wneessen/go-mail":                                     "letters to a mail server",
		"github.com/x448/float16":                                         "of webauthn",
		"go.opentelemetry.io/auto/sdk":                                    "of otel",
		"go.opentelemetry.io/otel":                                        "trace context, attributes",
		"go.opentelemetry.io/otel/exporters/otlp/otlptrace":               "spans in OTLP",
		"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp": "spans to a collector over HTTP",
		"go.opentelemetry.io/otel/log":                                    "of otel",
		"go.opentelemetry.io/otel/metric":                                 "of otel",
		"go.opentelemetry.io/otel/sdk":                                    "spans: sampled, gathered, dropped when there are too many",
		"go.opentelemetry.io/otel/trace":                                  "the words of traces",
		"go.opentelemetry.io/proto/otlp":                                  "of the OTLP exporter",
		"go.uber.org/multierr":                                            "of goose",
		"golang.org/x/crypto":                                             "argon2id, bcrypt of imported passwords",
		"golang.org/x/net":                                                "HTML parser of the example group's browser",
		"golang.org/x/oauth2":                                             "of go-oidc; of the SDK, in the example group",
		"golang.org/x/sync":                                               "errgroup, semaphore",
		"golang.org/x/sys":                                                "of many",
		"golang.org/x/text":                                               "Unicode normal forms, languages",
		"golang.org/x/time":                                               "rate limits",
		"google.golang.org/genproto/googleapis/api":                       "of grpc-gateway",
		"google.golang.org/genproto/googleapis/rpc":                       "of grpc",
		"google.golang.org/grpc":                                          "of the OTLP messages, which come with their gRPC service; nothing of ours speaks it",
		"google.golang.org/protobuf":                                      "of client_golang",
		"modernc.org/libc":                                                "of sqlite",
		"modernc.org/mathutil":                                            "of sqlite",
		"modernc.org/memory":                                              "of sqlite",
		"modernc.org/sqlite":                                              "SQLite without cgo",
		"rsc.io/qr":                                                       "the picture that an authenticator app scans",
	},
	"./sdk/...": {
		"github.com/cespare/xxhash/v2":   "of otel",
		"github.com/go-jose/go-jose/v4":  "signed tokens and keys",
		"go.opentelemetry.io/otel":       "trace context: a trace goes through the SDK",
		"go.opentelemetry.io/otel/trace": "spans, made by whatever provider the program has",
		"golang.org/x/oauth2":            "Token and TokenSource, the names Go programs know them by",
		"golang.org/x/sync":              "singleflight: many callers, one request",
	},
}

func TestLinkedModules(t *testing.T) {
	t.Parallel()
	for target, allowed := range linked {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			modules := linkedModules(t, target)
			for _, name := range modules {
				if allowed[name] == "" {
					t.Errorf("%s links %s, which is not on the list", target, name)
				}
			}
			for name := range allowed {
				if !slices.Contains(modules, name) {
					t.Errorf("%s no longer links %s: take it off the list", target, name)
				}
			}
		})
	}
}

func linkedModules(t *testing.T, target string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", target)
	command.Dir = repositoryRoot(t)
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	return slices.Compact(modules)
}
