package app

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mail"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Config is what an installation decides. The zero value of each optional field
// is a sensible default; Validate names every fault at once.
type Config struct {
	Database           string // path of the SQLite file, or a postgres:// URL
	RequireSynchronous bool   // PostgreSQL confirms a commit only when a standby has it too, or is not used
	GroupFile          string // applied at the first start on an empty database; optional afterwards

	Listen     string // public listener; default localhost:8080
	OpsListen  string // operators' listener; default localhost:8081; "off" for none
	TLSCert    string // certificate and key files; both or none (a proxy terminates TLS)
	TLSKey     string
	MTLS       MTLS
	TrustProxy []netip.Prefix // peers whose X-Forwarded-For is believed

	EventNetworks []netip.Prefix // private networks where receivers of events may be that belong to the group
	EventRoots    *x509.CertPool // whom receivers of events, providers and the password hook have their certificates from; nil: the system's

	PPIDSecrets       [][]byte     // one 32-byte secret per PPID key generation, oldest first
	KeyEncryptionKeys []secret.KEK // one of them seals the private keys in the database

	Passwords secret.HasherConfig // what hashing a password costs

	ProviderSecrets  string         // directory with a file for each provider of the group, by its name; empty: people sign in here alone
	ProviderNetworks []netip.Prefix // private networks where providers may be

	PasswordHook         string // of the system that people come from; empty: there is none
	PasswordHookSecret   string
	PasswordHookNetworks []netip.Prefix // private networks where it may be

	Mail    mail.Server // that takes letters to people; without a URL none are sent
	OTLP    string      // base URL of an OTLP/HTTP collector of traces; empty: no traces
	Version string      // of this program, for metrics and traces
	Dev     bool        // makes missing secrets itself, beside the database, and says so

	DrainFor time.Duration // how long running requests may finish at shutdown; default 20 s
	Logger   *slog.Logger
	Now      func() time.Time
}

// MTLS says how clients present certificates (RFC 8705). The zero value: not at all.
type MTLS struct {
	URL    string         // where they do, as in https://mtls.id.example; told in the metadata
	Listen string         // a TLS listener of our own that asks for them, with the certificate of TLSCert; empty: a proxy hands them on
	Header string         // in which a proxy of TrustProxy hands them on; empty: Listen
	Roots  *x509.CertPool // the authorities of tls_client_auth; nil: none
}

func (m MTLS) check(c Config, fault func(string, ...any)) {
	switch {
	case m.URL == "" && (m.Listen != "" || m.Header != "" || m.Roots != nil):
		fault("clients that present certificates must know where: give --mtls-url")
	case m.URL == "":
	case m.Listen == "" && m.Header == "":
		fault("--mtls-url needs --mtls-listen, or --mtls-header of a proxy that ends TLS")
	case m.Listen != "" && c.TLSCert == "":
		fault("--mtls-listen needs --tls-cert and --tls-key")
	case m.Header != "" && len(c.TrustProxy) == 0:
		fault("--mtls-header needs --trust-proxy: anybody else could write the header")
	case !strings.HasPrefix(m.URL, "https://") || strings.Count(m.URL, "/") > 2:
		fault("--mtls-url must be https with host and port only, as in https://mtls.id.example")
	}
}

const (
	defaultListen    = "localhost:8080"
	defaultOpsListen = "localhost:8081"
	opsOff           = "off"
	defaultDrain     = 20 * time.Second
	keyLength        = 32
)

// withDefaults fills in what was left out; in dev mode that includes secrets.
func (c Config) withDefaults() (Config, error) {
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.OpsListen == "" {
		c.OpsListen = defaultOpsListen
	}
	if c.DrainFor == 0 {
		c.DrainFor = defaultDrain
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if !c.Dev {
		return c, nil
	}
	return c.withDevSecrets()
}

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Database == "" {
		fault("no database: give --database with the path of an SQLite file or a postgres:// URL")
	} else if err := db.Check(c.Database); err != nil {
		faults = append(faults, err)
	}
	instead := "or use --dev"
	if c.Dev {
		instead = "since --dev makes one beside an SQLite file only"
	}
	if len(c.PPIDSecrets) == 0 {
		fault("no PPID secret: set SEKISHO_PPID_SECRET_FILE (make one with sekisho generate ppid-secret), %s", instead)
	}
	for i, one := range c.PPIDSecrets {
		if len(one) != keyLength {
			fault("PPID secret of generation %d has %d bytes, it needs %d", i+1, len(one), keyLength)
		}
	}
	if len(c.KeyEncryptionKeys) == 0 {
		fault("no key-encryption key: set SEKISHO_KEY_ENCRYPTION_KEY_FILE (make one with sekisho generate key-encryption-key), %s", instead)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		fault("--tls-cert and --tls-key go together")
	}
	c.MTLS.check(c, fault)
	if c.PasswordHook != "" && c.PasswordHookSecret == "" {
		fault("--password-hook needs --password-hook-secret-file: it answers anybody else too")
	}
	if c.Mail.URL != "" {
		if err := c.Mail.Check(); err != nil {
			fault("--mail-server: %w", err)
		}
	}
	return errors.Join(faults...)
}

// ParseKeys reads 32-byte keys, one a line, each as 64 hex digits or as base64.
func ParseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, err := parseKey(line)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// ParseKEKs reads key-encryption keys, one a line: 32 bytes as ParseKeys has them, or
// the pkcs11: URI of a key in a hardware security module (RFC 7512).
func ParseKEKs(text string) ([]secret.KEK, error) {
	var keks []secret.KEK
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		kek, ok, err := secret.OpenKEK(line)
		if err != nil {
			return nil, err
		}
		if !ok {
			key, err := parseKey(line)
			if err != nil {
				return nil, err
			}
			kek = secret.LocalKEK([secret.KeySize]byte(key))
		}
		keks = append(keks, kek)
	}
	return keks, nil
}

// The text itself is a secret, so no error may quote it.
var errKeyForm = errors.New("a key is 32 bytes, written as 64 hex digits or as base64")

func parseKey(text string) ([]byte, error) {
	if len(text) == hex.EncodedLen(keyLength) {
		if key, err := hex.DecodeString(text); err == nil {
			return key, nil
		}
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(text); err == nil && len(key) == keyLength {
			return key, nil
		}
	}
	return nil, errKeyForm
}

// withDevSecrets reads the secrets of dev mode from files beside the database,
// making them where they are missing. A secret that was given is left alone.
func (c Config) withDevSecrets() (Config, error) {
	base, ok := db.File(c.Database)
	if !ok {
		return c, nil // dev mode puts secrets beside a database file, and here is none
	}
	if len(c.PPIDSecrets) == 0 {
		key, err := c.devSecret(base+".ppid-secret", "PPID secret")
		if err != nil {
			return c, err
		}
		c.PPIDSecrets = [][]byte{key}
	}
	if len(c.KeyEncryptionKeys) == 0 {
		key, err := c.devSecret(base+".key-encryption-key", "key-encryption key")
		if err != nil {
			return c, err
		}
		c.KeyEncryptionKeys = []secret.KEK{secret.LocalKEK([secret.KeySize]byte(key))}
	}
	return c, nil
}

func (c Config) devSecret(path, what string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the database, we read beside it
	switch {
	case err == nil:
		return parseKey(strings.TrimSpace(string(text)))
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read the dev %s: %w", what, err)
	}
	key := secret.Bytes(keyLength)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make a dev %s: %w", what, err)
	}
	if err := os.WriteFile(path, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("make a dev %s: %w", what, err)
	}
	c.Logger.Warn("dev mode made a "+what+"; production keeps it outside the database's machine", "file", path)
	return key, nil
}
