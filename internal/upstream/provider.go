package upstream

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/registry"
)

const (
	metadataLife  = time.Hour
	metadataStale = 24 * time.Hour  // for so long metadata is used that cannot be read anew
	retryAfter    = 5 * time.Second // a provider that did not answer is asked again
	maxBody       = 64 << 10
)

// acquaintance is what is known of a provider. It has a lock of its own, so that one that
// is slow keeps nobody from another.
type acquaintance struct {
	mu       sync.Mutex
	metadata *oidc.Provider
	read     time.Time // when the metadata was read
	failed   time.Time // when that was last tried in vain
}

// meet finds the metadata of a provider and what this server is to it.
func (u *Upstream) meet(ctx context.Context, p *registry.Provider) (*oidc.Provider, *oauth2.Config, error) {
	password, err := u.secret(p)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	u.mu.Lock()
	known := u.known[p.Issuer]
	if known == nil {
		known = new(acquaintance)
		u.known[p.Issuer] = known
	}
	u.mu.Unlock()
	metadata, err := u.discover(ctx, p.Issuer, known)
	if err != nil {
		return nil, nil, err
	}
	return metadata, &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: password,
		RedirectURL: u.Issuer + Path + p.Name, Scopes: p.Scopes,
	}, nil
}

// discover reads the metadata of an issuer, or gives what was read before.
func (u *Upstream) discover(ctx context.Context, issuer string, known *acquaintance) (*oidc.Provider, error) {
	known.mu.Lock()
	defer known.mu.Unlock()
	now := u.Now()
	age := now.Sub(known.read)
	if known.metadata != nil && age < metadataLife {
		return known.metadata, nil
	}
	var err error
	if now.Sub(known.failed) > retryAfter {
		var metadata *oidc.Provider
		// Its keys are read later, on other requests: only the client is of use then.
		metadata, err = oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), u.client), issuer)
		if err == nil {
			known.metadata, known.read = metadata, now
			return metadata, nil
		}
		known.failed = u.Now() // those who waited meanwhile do not wait again
	}
	if known.metadata != nil && age < metadataStale {
		return known.metadata, nil
	}
	if err == nil {
		return nil, fmt.Errorf("%w: it did not answer a moment ago", ErrUnavailable)
	}
	return nil, fmt.Errorf("%w: its metadata: %s", ErrUnavailable, outgoing.Detail(err))
}

// limited lets no answer be larger than 64 KiB.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxBody)
	}
	return response, err
}
