package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sekisho-id/sekisho/internal/audit"
)

// Limits of a connection.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 90 * time.Second
	maxHeaderBytes    = 32 << 10
	maxStreams        = 100 // of one HTTP/2 connection

	sweepEvery      = time.Minute
	maintainEvery   = 10 * time.Minute
	auditSweepEvery = 24 * time.Hour
	auditLife       = 400 * 24 * time.Hour
)

// Listen opens the configured listeners. Run serves on them.
func (a *App) Listen(ctx context.Context) (public, ops net.Listener, err error) {
	var config net.ListenConfig
	public, err = config.Listen(ctx, "tcp", a.config.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen on %s (--listen): %w", a.config.Listen, err)
	}
	if at := a.config.MTLS.Listen; at != "" {
		if a.mtls, err = config.Listen(ctx, "tcp", at); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("listen on %s (--mtls-listen): %w", at, err), public.Close())
		}
	}
	if a.config.OpsListen == opsOff {
		return public, nil, nil
	}
	ops, err = config.Listen(ctx, "tcp", a.config.OpsListen)
	if err != nil {
		err = errors.Join(fmt.Errorf("listen on %s (--ops-listen): %w", a.config.OpsListen, err), public.Close())
		if a.mtls != nil {
			err = errors.Join(err, a.mtls.Close())
		}
		return nil, nil, err
	}
	return public, ops, nil
}

// Run serves until ctx ends, then lets running requests finish, writes out what
// is queued and returns. ops may be nil.
func (a *App) Run(ctx context.Context, public, ops net.Listener) error {
	servers := []*listening{{server: a.server(a.Handler()), on: public}}
	if a.config.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(a.config.TLSCert, a.config.TLSKey)
		if err != nil {
			return fmt.Errorf("TLS certificate: %w", err)
		}
		servers[0].on = tls.NewListener(public, tlsConfig(certificate))
		if a.mtls != nil {
			asking := tlsConfig(certificate)
			// Asked for and not judged: a handshake shows that the client holds the
			// key, and whose certificate it is depends on the client (RFC 8705 §2).
			asking.ClientAuth = tls.RequestClientCert
			servers = append(servers, &listening{server: a.server(a.Handler()), on: tls.NewListener(a.mtls, asking)})
		}
	}
	if ops != nil {
		servers = append(servers, &listening{server: a.server(a.opsHandler()), on: ops})
	}

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	work := a.backgroundWork(background)

	group, serving := errgroup.WithContext(ctx)
	for _, one := range servers {
		group.Go(one.serve)
	}
	group.Go(func() error {
		<-serving.Done()
		return a.drain(ctx, servers)
	})
	err := group.Wait()
	// The audit queue is emptied only after the last request that could fill it.
	stopBackground()
	return errors.Join(err, work.Wait(), a.Audit.Flush(context.WithoutCancel(ctx)))
}

// listening is a server and what it listens on.
type listening struct {
	server *http.Server
	on     net.Listener
}

func (l *listening) serve() error {
	if err := l.server.Serve(l.on); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// drain stops accepting and waits for running requests.
func (a *App) drain(ctx context.Context, servers []*listening) error {
	a.draining.Store(true)
	a.config.Logger.Info("draining", "for_at_most", a.config.DrainFor.String())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.DrainFor)
	defer cancel()
	var faults []error
	for _, one := range servers {
		if err := one.server.Shutdown(ctx); err != nil {
			faults = append(faults, fmt.Errorf("requests still running after %s were cut off: %w", a.config.DrainFor, err), one.server.Close())
		}
	}
	return errors.Join(faults...)
}

func (a *App) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          newServerLog(a.config.Logger),
	}
}

// tlsConfig allows TLS 1.3, and of 1.2 only what BCP 195 recommends.
func tlsConfig(certificate tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"h2", "http/1.1"},
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
	}
}

// backgroundWork is what runs beside requests until ctx ends: following changes
// of other processes, writing the audit queue, bringing events to their
// receivers, turning keys, deleting what has expired.
func (a *App) backgroundWork(ctx context.Context) *errgroup.Group {
	group := &errgroup.Group{}
	group.Go(func() error { return a.DB.Follow(ctx) })
	group.Go(func() error { return a.Audit.Run(ctx) })
	group.Go(func() error { return a.Courier.Run(ctx) })
	if a.post != nil {
		group.Go(func() error { return a.post.Run(ctx) })
	}
	group.Go(func() error { a.every(ctx, maintainEvery, "turn signing keys", a.Keys.Maintain); return nil })
	group.Go(func() error { a.every(ctx, sweepEvery, "delete expired grants", a.Grants.Sweep); return nil })
	group.Go(func() error { a.every(ctx, sweepEvery, "delete expired sign-in requests", a.signin.Sweep); return nil })
	group.Go(func() error { a.every(ctx, sweepEvery, "delete expired assertions", a.Registry.Sweep); return nil })
	group.Go(func() error { a.every(ctx, sweepEvery, "delete expired throttles", a.People.Sweep); return nil })
	group.Go(func() error { a.every(ctx, sweepEvery, "delete old events", a.Courier.Sweep); return nil })
	group.Go(func() error { a.every(ctx, auditSweepEvery, "delete old audit records", a.sweepAudit); return nil })
	return group
}

func (a *App) sweepAudit(ctx context.Context) error {
	_, err := audit.Sweep(ctx, a.DB, a.config.Now().Add(-auditLife))
	return err
}

// every runs work now and then. A failure is logged and tried again: nothing of
// it decides a security question, since expiry is checked at use.
func (a *App) every(ctx context.Context, period time.Duration, what string, work func(context.Context) error) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			a.config.Logger.Error("could not "+what, "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
