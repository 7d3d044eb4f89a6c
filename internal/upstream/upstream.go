package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const (
	stateLife = 10 * time.Minute

	// skew is how far a provider's clock may be from ours.
	skew = time.Minute

	maxAnswer = 4 << 10 // of a parameter that comes back
)

// Path is where providers send people back to, each to its own name below (RFC 9700 §4.4.2.2).
const Path = "/upstream/"

var (
	// ErrUnavailable says that a provider does not answer, or not as its metadata says.
	ErrUnavailable = errors.New("upstream: the provider cannot be spoken with")
	// ErrDeclined says that the person, or the provider, did not want it.
	ErrDeclined = errors.New("upstream: the provider signed nobody in")
	// ErrRefused is the answer to everything that does not prove who came back.
	ErrRefused = errors.New("upstream: the answer of the provider was not accepted")
	// ErrStale says that a person should have signed in anew, and the provider does not
	// say that they did.
	ErrStale = errors.New("upstream: the provider does not say that the person has signed in just now")
)

// Config is what Upstream needs. All fields but Secrets and Policy are required.
type Config struct {
	Issuer  string          // of this server, to which people come back
	Key     []byte          // 32 bytes, the same on every replica
	Secrets string          // directory with a file for each provider, by its name; empty: none is offered
	Policy  outgoing.Policy // where providers may be
	Now     func() time.Time
}

// Upstream speaks with the providers.
type Upstream struct {
	Config
	client *http.Client
	mu     sync.Mutex
	known  map[string]*acquaintance // by issuer
}

// New makes an Upstream.
func New(c Config) *Upstream {
	client := outgoing.NewClient(c.Policy)
	client.Transport = limited{client.Transport}
	return &Upstream{Config: c, client: client, known: map[string]*acquaintance{}}
}

// Offered reports whether people can be sent to the provider: its secret is there.
func (u *Upstream) Offered(p *registry.Provider) bool {
	_, _, err := u.held(p)
	return err == nil
}

// Trip is why and from where a person goes to a provider.
type Trip struct {
	Provider *registry.Provider
	Page     string // a word for the page, found again by Page; it is no secret
	Purpose  string // what the way back is bound to: browser, page and person
	Fresh    bool   // the person must sign in there anew
	Language string // of the pages, as BCP 47 has it
}

// Begin gives the address at the provider that the person is sent to, or ErrUnavailable.
func (u *Upstream) Begin(ctx context.Context, t Trip) (location string, err error) {
	metadata, config, err := u.meet(ctx, t.Provider)
	if err != nil {
		return "", err
	}
	state := u.newState(t)
	options := []oauth2.AuthCodeOption{oidc.Nonce(u.derive("nonce", state)), oauth2.S256ChallengeOption(u.derive("verifier", state))}
	if t.Provider.FormPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	if t.Fresh { // OIDC Core §3.1.2.1
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	if t.Language != "" {
		options = append(options, oauth2.SetAuthURLParam("ui_locales", t.Language))
	}
	config.Endpoint = metadata.Endpoint()
	return config.AuthCodeURL(state, options...), nil
}

// Page is the word of the trip that an answer belongs to; whether it does is for Finish.
func Page(answer url.Values) string {
	page, _, _ := strings.Cut(answer.Get("state"), ".")
	return page
}

// Finish says who came back. The errors are ErrDeclined, ErrUnavailable, ErrStale and
// ErrRefused, each with its cause.
func (u *Upstream) Finish(ctx context.Context, t Trip, answer url.Values) (*account.Identity, error) {
	begun, err := u.checkAnswer(t, answer)
	if err != nil {
		return nil, err
	}
	metadata, config, err := u.meet(ctx, t.Provider)
	if err != nil {
		return nil, err
	}
	state := answer.Get("state")
	config.Endpoint = metadata.Endpoint()
	tokens, err := config.Exchange(oidc.ClientContext(ctx, u.client), answer.Get("code"), oauth2.VerifierOption(u.derive("verifier", state)))
	if err != nil {
		return nil, exchangeFailed(err)
	}
	said, err := u.read(ctx, t, metadata, tokens, u.derive("nonce", state))
	if err != nil {
		return nil, err
	}
	if t.Fresh && !said.signedInSince(begun, u.Now()) {
		return nil, ErrStale
	}
	return said.identity(t.Provider), nil
}

// checkAnswer checks what came back before anybody is asked, and says when it began.
func (u *Upstream) checkAnswer(t Trip, answer url.Values) (begun time.Time, err error) {
	for name, values := range answer {
		if len(values) > 1 || len(values[0]) > maxAnswer {
			return begun, fmt.Errorf("%w: %q is repeated or long", ErrRefused, name)
		}
	}
	if begun, err = u.checkState(t, answer.Get("state")); err != nil {
		return begun, err
	}
	// RFC 9207 §2.4; a provider that does not say who it is has an address of its own here.
	if issuer := answer.Get("iss"); issuer != "" && issuer != t.Provider.Issuer {
		return begun, fmt.Errorf("%w: it is from another issuer", ErrRefused)
	}
	if code := answer.Get("error"); code != "" {
		return begun, fmt.Errorf("%w: %q", ErrDeclined, code)
	}
	if answer.Get("code") == "" {
		return begun, fmt.Errorf("%w: it has no code", ErrRefused)
	}
	return begun, nil
}

// exchangeFailed tells a provider that refused a code from one that did not answer.
func exchangeFailed(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: the code was not taken: %q", ErrRefused, refused.ErrorCode)
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, outgoing.Detail(err))
}

// newState makes the state of a trip: its page, and a stamp for all that the way back is
// bound to.
func (u *Upstream) newState(t Trip) string {
	return t.Page + "." + base64.RawURLEncoding.EncodeToString(secret.NewStamp(u.stateKey(), t.binding(), u.Now().Unix()))
}

func (u *Upstream) checkState(t Trip, state string) (begun time.Time, err error) {
	page, token, _ := strings.Cut(state, ".")
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || page != t.Page {
		return begun, fmt.Errorf("%w: its state is none of ours", ErrRefused)
	}
	made, ok := secret.OpenStamp(u.stateKey(), t.binding(), b)
	if !ok {
		return begun, fmt.Errorf("%w: its state is none of ours, or of another page, person or browser", ErrRefused)
	}
	begun = time.Unix(made, 0)
	if u.Now().Sub(begun) > stateLife {
		return begun, fmt.Errorf("%w: it took longer than %s", ErrRefused, stateLife)
	}
	return begun, nil
}

func (u *Upstream) stateKey() []byte { return secret.Derive(u.Key, "upstream state", secret.KeySize) }

// binding is what the way back is bound to.
func (t Trip) binding() string {
	fresh := "no"
	if t.Fresh {
		fresh = "fresh"
	}
	return t.Provider.Name + "\x00" + t.Provider.Issuer + "\x00" + fresh + "\x00" + t.Page + "\x00" + t.Purpose + "\x00"
}

// derive makes a value that goes with a state, and that nobody can make who has not the
// key: 43 characters, as a PKCE verifier has at least (RFC 7636 §4.1).
func (u *Upstream) derive(what, state string) string {
	return base64.RawURLEncoding.EncodeToString(secret.Derive(u.Key, "upstream "+what+" "+state, sha256.Size))
}
