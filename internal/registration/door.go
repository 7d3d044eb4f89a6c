package registration

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
)

// Config is what the door needs. All fields but TrustProxy are required.
type Config struct {
	Issuer     string
	Registry   *registry.Registry
	Audit      *audit.Log
	TrustProxy []netip.Prefix // peers whose X-Forwarded-For is believed
	Now        func() time.Time
}

// Door serves the endpoints.
type Door struct {
	Config
	sources sources
}

// New makes a Door.
func New(c Config) *Door { return &Door{Config: c} }

// Path is the path of the registration endpoint under the issuer, as the metadata
// tells it. That of a registered client is below it, by its id.
const Path = "/oauth2/register"

// limit is how large a body may be.
const limit = 64 << 10

// information is the answer about a client (RFC 7591 §3.2.1, RFC 7592 §3).
type information struct {
	ClientID        string `json:"client_id"`
	IssuedAt        int64  `json:"client_id_issued_at"`
	Secret          string `json:"client_secret,omitempty"`
	SecretExpiresAt *int64 `json:"client_secret_expires_at,omitempty"` // there if, and only if, the secret is
	AccessToken     string `json:"registration_access_token"`
	ClientURI       string `json:"registration_client_uri"`
	metadata
}

func (d *Door) inform(made registry.Registration) information {
	answer := information{
		ClientID:    made.ID,
		IssuedAt:    made.CreatedAt.Unix(),
		Secret:      made.Secret,
		AccessToken: made.AccessToken,
		ClientURI:   d.Issuer + Path + "/" + made.ID,
		metadata:    describe(made.Registered),
	}
	if made.Secret != "" {
		answer.SecretExpiresAt = new(int64) // never
	}
	return answer
}

// Register is the client registration endpoint (RFC 7591 §3).
func (d *Door) Register(w http.ResponseWriter, r *http.Request) {
	made, err := d.register(w, r)
	if err != nil {
		d.refuse(w, r, "", err)
		return
	}
	web.WriteJSON(w, http.StatusCreated, d.inform(made))
}

func (d *Door) register(w http.ResponseWriter, r *http.Request) (registry.Registration, error) {
	if err := web.AllowMethods(w, r, http.MethodPost); err != nil {
		return registry.Registration{}, err
	}
	token, err := d.token(r)
	if err != nil {
		return registry.Registration{}, err
	}
	opened, err := d.Registry.RegistrationToken(r.Context(), token)
	if err != nil {
		return registry.Registration{}, err
	}
	web.Event(r.Context()).Set("subsystem", opened.Subsystem)
	body, err := web.ReadJSON(w, r, limit)
	if err != nil {
		return registry.Registration{}, err
	}
	m, _, _, err := parse(body)
	if err != nil {
		return registry.Registration{}, err
	}
	client, err := m.client()
	if err != nil {
		return registry.Registration{}, err
	}
	made, err := d.Registry.Register(r.Context(), token, client, d.origin(r))
	web.Event(r.Context()).Set("client", made.ID)
	return made, err
}

// Client is the client configuration endpoint (RFC 7592 §2).
func (d *Door) Client(w http.ResponseWriter, r *http.Request) {
	held, err := d.find(w, r)
	if err != nil {
		d.refuse(w, r, "", err)
		return
	}
	web.Event(r.Context()).Set("client", held.ID)
	switch r.Method {
	case http.MethodPut:
		held, err = d.replace(w, r, held)
	case http.MethodDelete:
		err = d.Registry.Unregister(r.Context(), held.ID, held.AccessToken, d.origin(r))
	}
	switch {
	case err != nil:
		d.refuse(w, r, held.ID, err)
	case r.Method == http.MethodDelete:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	default:
		web.WriteJSON(w, http.StatusOK, d.inform(held))
	}
}

// find finds the client that the request is about and from.
func (d *Door) find(w http.ResponseWriter, r *http.Request) (registry.Registration, error) {
	if err := web.AllowMethods(w, r, http.MethodGet, http.MethodPut, http.MethodDelete); err != nil {
		return registry.Registration{}, err
	}
	token, err := d.token(r)
	if err != nil {
		return registry.Registration{}, err
	}
	held, err := d.Registry.Registered(r.Context(), r.PathValue("client"), token)
	return registry.Registration{Registered: held, AccessToken: token}, err
}

// replace takes the whole metadata anew (RFC 7592 §2.2). held comes back with
// the error, so that it is told whose request was refused.
func (d *Door) replace(w http.ResponseWriter, r *http.Request, held registry.Registration) (registry.Registration, error) {
	body, err := web.ReadJSON(w, r, limit)
	if err != nil {
		return held, err
	}
	m, own, members, err := parse(body)
	if err != nil {
		return held, err
	}
	for _, name := range serversOwn {
		if says(members[name]) {
			return held, refuse(name + " is set by the server alone; leave it out (RFC 7592 section 2.2).")
		}
	}
	switch {
	case own.ClientID != held.ID:
		return held, refuse("client_id must be the one of this client (RFC 7592 section 2.2).")
	case own.ClientSecret != "" && !held.HasSecret(own.ClientSecret):
		return held, refuse("client_secret is not the one of this client; it cannot be chosen (RFC 7592 section 2.2).")
	}
	client, err := m.client()
	if err != nil {
		return held, err
	}
	made, err := d.Registry.Replace(r.Context(), held.ID, held.AccessToken, client, d.origin(r))
	if err != nil {
		return held, err
	}
	return made, nil
}

// token is the bearer token of a request whose source has not asked too often.
func (d *Door) token(r *http.Request) (string, error) {
	if err := d.sources.take(d.Now(), web.ClientIP(r, d.TrustProxy)); err != nil {
		return "", err
	}
	return web.BearerToken(r)
}

func (d *Door) origin(r *http.Request) registry.Origin {
	return registry.Origin{Source: web.ClientIP(r, d.TrustProxy).String(), Request: web.Event(r.Context()).ID}
}
