package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
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

// generationsReady tells whether this process has the secret of each generation of
// PPIDs. Without one it would take people for nobody.
func (a *App) generationsReady(context.Context) error { return a.Pairwise.Ready() }

// withGenerations serves nobody while a secret is missing, whatever the balancer does.
func (a *App) withGenerations(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := a.Pairwise.Ready(); err != nil {
			web.Event(r.Context()).Set("cause", err.Error())
			web.WriteError(w, r, oauth.Refuse(oauth.TemporarilyUnavailable, "The server cannot answer at the moment. Try again in a few seconds."))
			return
		}
		next(w, r)
	}
}

func (a *App) notDraining(context.Context) error {
	if a.draining.Load() {
		return errors.New("shutting down")
	}
	return nil
}
