package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/mail"
)

// serveCommand runs the authorization server.
type serveCommand struct {
	installation
	logging

	RequireSynchronous bool `env:"SEKISHO_REQUIRE_SYNCHRONOUS" help:"Serve only while PostgreSQL has a synchronous standby, so that a fail-over loses nothing."`

	Group      string   `env:"SEKISHO_GROUP" placeholder:"FILE" help:"Group file; applied at the first start on an empty database."`
	Listen     string   `env:"SEKISHO_LISTEN" default:"localhost:8080" placeholder:"ADDRESS" help:"Public listener (${default})."`
	OpsListen  string   `env:"SEKISHO_OPS_LISTEN" default:"localhost:8081" placeholder:"ADDRESS" help:"Operators' listener: health, metrics, profiles; off for none (${default})."`
	TLSCert    string   `env:"SEKISHO_TLS_CERT" placeholder:"FILE" help:"Certificate chain, where no proxy terminates TLS."`
	TLSKey     string   `env:"SEKISHO_TLS_KEY" placeholder:"FILE" help:"Private key of the certificate."`
	TrustProxy []string `env:"SEKISHO_TRUST_PROXY" placeholder:"NETWORK" help:"Proxies whose X-Forwarded-For is believed."`

	MTLSURL    string `name:"mtls-url" env:"SEKISHO_MTLS_URL" placeholder:"URL" help:"Where clients that present certificates reach this server (RFC 8705), for example https://mtls.id.example."`
	MTLSListen string `name:"mtls-listen" env:"SEKISHO_MTLS_LISTEN" placeholder:"ADDRESS" help:"TLS listener for them, with the certificate of --tls-cert."`
	MTLSHeader string `name:"mtls-header" env:"SEKISHO_MTLS_HEADER" placeholder:"NAME" help:"Header in which a proxy of --trust-proxy hands their certificates on, at every request to --mtls-url, as in Client-Cert."`
	ClientCA   string `name:"client-ca" env:"SEKISHO_CLIENT_CA" placeholder:"FILE" help:"Authorities (PEM) whose certificates clients with tls_client_auth present."`

	PasswordHook           string   `env:"SEKISHO_PASSWORD_HOOK" placeholder:"URL" help:"Where the system that people come from says whether a password is right, of people imported with password_elsewhere. Default: none is asked."`
	PasswordHookSecretFile string   `env:"SEKISHO_PASSWORD_HOOK_SECRET_FILE" placeholder:"FILE" help:"File with the bearer token that it knows this server by."`
	PasswordHookNetworks   []string `env:"SEKISHO_PASSWORD_HOOK_NETWORKS" placeholder:"NETWORK" help:"Private networks where it may be. Default: public addresses only."`

	MailServer       string `env:"SEKISHO_MAIL_SERVER" placeholder:"URL" help:"Mail server for letters to people: smtp://user@mail.example:587 (STARTTLS) or smtps://. Default: none are sent, and a forgotten password is for operators."`
	MailFrom         string `env:"SEKISHO_MAIL_FROM" placeholder:"ADDRESS" help:"Who the letters are from, as in Market <no-reply@market.example>."`
	MailPasswordFile string `env:"SEKISHO_MAIL_PASSWORD_FILE" placeholder:"FILE" help:"File with the password of the user of --mail-server."`

	ProviderSecrets  string   `env:"SEKISHO_PROVIDER_SECRETS" placeholder:"DIRECTORY" help:"Directory with the secrets this server has with the providers of the group file, one file each, by name. Default: people sign in here alone."`
	ProviderNetworks []string `env:"SEKISHO_PROVIDER_NETWORKS" placeholder:"NETWORK" help:"Private networks where providers may be. Default: public addresses only."`

	EventNetworks []string `env:"SEKISHO_EVENT_NETWORKS" placeholder:"NETWORK" help:"Private networks where receivers of events may be that belong to the group, for example 10.1.0.0/16. Third parties reach public addresses only."`
	OTLP          string   `name:"otlp" env:"OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL" help:"OpenTelemetry collector (OTLP over HTTP) for traces, for example http://localhost:4318. Default: no traces."`
}

func (c serveCommand) Run(ctx context.Context, term terminal) (err error) {
	lines := &logBuffer{to: term.err}
	defer func() { err = errors.Join(err, lines.Flush()) }()
	config, err := c.config(c.logger(lines))
	if err != nil {
		return err
	}
	if config.TrustProxy, err = prefixes(c.TrustProxy); err != nil {
		return fmt.Errorf("--trust-proxy: %w", err)
	}
	if config.EventNetworks, err = prefixes(c.EventNetworks); err != nil {
		return fmt.Errorf("--event-networks: %w", err)
	}
	if config.ProviderNetworks, err = prefixes(c.ProviderNetworks); err != nil {
		return fmt.Errorf("--provider-networks: %w", err)
	}
	config.ProviderSecrets = c.ProviderSecrets
	if config.PasswordHookNetworks, err = prefixes(c.PasswordHookNetworks); err != nil {
		return fmt.Errorf("--password-hook-networks: %w", err)
	}
	config.PasswordHook = c.PasswordHook
	if config.PasswordHookSecret, err = oneLine(c.PasswordHookSecretFile); err != nil {
		return fmt.Errorf("--password-hook-secret-file: %w", err)
	}
	config.MTLS = app.MTLS{URL: strings.TrimSuffix(c.MTLSURL, "/"), Listen: c.MTLSListen, Header: c.MTLSHeader}
	if config.MTLS.Roots, err = authorities(c.ClientCA); err != nil {
		return fmt.Errorf("--client-ca: %w", err)
	}
	if config.Mail, err = c.mail(); err != nil {
		return err
	}
	config.RequireSynchronous = c.RequireSynchronous
	config.GroupFile, config.Version = c.Group, version()
	config.Listen, config.OpsListen = c.Listen, c.OpsListen
	config.OTLP = c.OTLP
	config.TLSCert, config.TLSKey = c.TLSCert, c.TLSKey
	defer spendMemory(ctx)()
	return serve(ctx, config)
}

// mail is the mail server of the flags.
func (c serveCommand) mail() (mail.Server, error) {
	server := mail.Server{URL: c.MailServer, From: c.MailFrom}
	var err error
	if server.Password, err = oneLine(c.MailPasswordFile); err != nil {
		return server, fmt.Errorf("--mail-password-file: %w", err)
	}
	return server, nil
}

// oneLine reads a file that holds one secret; empty for no file.
func oneLine(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	return strings.TrimRight(string(text), "\r\n"), err
}

// authorities reads a file of certificates in PEM; nil for none.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

// serve opens the server and runs it until ctx ends.
func serve(ctx context.Context, config app.Config) error {
	server, err := app.Open(ctx, config)
	if err != nil {
		return err
	}
	public, ops, err := server.Listen(ctx)
	if err != nil {
		return errors.Join(err, server.Close(ctx))
	}
	debug.FreeOSMemory() // starting needs several times what serving does
	config.Logger.Info("serving", "issuer", server.Issuer(), "listen", public.Addr().String())
	tell(config.Logger, stateReady)
	defer context.AfterFunc(ctx, func() { tell(config.Logger, stateStopping) })()
	err = server.Run(ctx, public, ops)
	return errors.Join(err, server.Close(context.WithoutCancel(ctx)))
}

// tell tells the service manager. One that cannot be told ends no server.
func tell(logger *slog.Logger, state string) {
	if err := notify(state); err != nil {
		logger.Warn("the service manager was not told", "state", state, "cause", err)
	}
}
