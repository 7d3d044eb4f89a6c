package app

import (
	"context"
	"errors"
	"fmt"
)

// Issuer is the issuer this server was started for.
func (a *App) Issuer() string { return a.issuer }

// auditReady tells whether security decisions can be written down. When they
// cannot, requests that make one are refused.
func (a *App) auditReady(context.Context) error { return a.Audit.Ready() }

// groupReady tells whether this process serves the group in force. The issuer
// is built into every room, so a changed one needs a restart.
func (a *App) groupReady(context.Context) error {
	if issuer := a.Registry.Current().Issuer; issuer != a.issuer {
		return fmt.Errorf("the group's issuer is now %s: restart this process", issuer)
	}
	return nil
}

func (a *App) notDraining(context.Context) error {
	if a.draining.Load() {
		return errors.New("shutting down")
	}
	return nil
}
