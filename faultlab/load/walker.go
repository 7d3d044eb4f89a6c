package load

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	mostFamilies = 4                      // of one person, before one is revoked
	retryWait    = 100 * time.Millisecond // until a request without an answer is sent again
	retries      = 200
	signInWait   = 10 * time.Second // after a sign-in that did not go well
	tokenLife    = 4 * time.Minute  // after which an access token is not used any more
)

// walker is a person, and what their apps have got for them.
type walker struct {
	load     *Load
	person   int
	browser  *browser
	families []*family
	chance   *rand.Rand
	later    time.Time // before then it tries no sign-in
}

// family is what came of one code.
type family struct {
	id           string // the digest of its code
	client       string
	confidential bool
	refresh      string // the newest
	access       string
	accessAt     time.Time
}

// tokens is the answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// step does one thing, by chance. Who has nothing yet signs in. ended cuts short
// the waiting between tries, not a request.
func (w *walker) step(ctx context.Context, ended <-chan struct{}) {
	n := w.chance.IntN(1000)
	switch {
	case time.Now().Before(w.later) && (!w.browser.signed || n < w.load.SignIns):
		w.service(ctx)
		return
	case w.load.Away && w.chance.IntN(500) == 0:
		w.families, w.browser = nil, w.load.newBrowser(w.person)
		return
	case n < w.load.SignIns:
		w.browser = w.load.newBrowser(w.person)
		w.begin(ctx)
		return
	case len(w.families) == 0, n < 150:
		w.begin(ctx)
		return
	case len(w.families) > mostFamilies, n < 200:
		w.revoke(ctx, w.chance.IntN(len(w.families)), ended)
		return
	}
	f := w.families[w.chance.IntN(len(w.families))]
	switch {
	case n < 230:
		w.service(ctx)
	case n < 250:
		_ = w.load.keys[0].refetch(ctx) // recorded
	case n < 550 || time.Since(f.accessAt) > tokenLife || f.accessAt.Before(w.load.fresh):
		w.refresh(ctx, f, ended)
	case n < 800:
		w.exchange(ctx, f)
	default:
		w.introspect(ctx, f)
	}
}

// begin gets a code and redeems it. A code whose answer is lost is given up: sent
// again it would end what it has made.
func (w *walker) begin(ctx context.Context) {
	client, returnTo := "shop.ios", appReturn
	confidential := w.chance.IntN(3) == 0
	if confidential {
		client, returnTo = "shop.web", webReturn
	}
	if f := w.sign(ctx, client, returnTo, confidential); f != nil {
		w.families = append(w.families, f)
	}
}

// sign gets a code and redeems it; nil if that did not go well.
func (w *walker) sign(ctx context.Context, client, returnTo string, confidential bool) *family {
	c, err := w.browser.authorize(ctx, client, returnTo, confidential)
	if err != nil { // recorded
		w.later = time.Now().Add(signInWait)
		return nil
	}
	f := &family{id: digest(c.value), client: client, confidential: confidential}
	if w.redeem(ctx, f, c) != OK {
		return nil
	}
	return f
}

func (c code) form() url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {c.value}, "redirect_uri": {c.returnTo},
		"code_verifier": {c.verifier}, "resource": {payAPI},
	}
}

func (w *walker) redeem(ctx context.Context, f *family, c code) Outcome {
	return w.ask(ctx, Record{Op: Redeem, Family: f.id, In: f.id}, f, c.form())
}

// refresh sends the newest token until there is an answer, as an app does.
func (w *walker) refresh(ctx context.Context, f *family, ended <-chan struct{}) {
	for range retries {
		switch w.once(ctx, f) {
		case OK:
			return
		case Refused, Wrong:
			w.forget(f)
			return
		case Unavailable, Unknown:
		}
		select {
		case <-ended:
			return
		case <-time.After(retryWait):
		}
	}
}

// once sends the newest refresh token.
func (w *walker) once(ctx context.Context, f *family) Outcome {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.refresh}, "resource": {payAPI}}
	return w.ask(ctx, Record{Op: Refresh, Family: f.id, In: digest(f.refresh)}, f, form)
}

func (w *walker) forget(f *family) {
	w.families = slices.DeleteFunc(w.families, func(one *family) bool { return one == f })
}

// ask sends a request for tokens of a family, and takes what comes.
func (w *walker) ask(ctx context.Context, r Record, f *family, form url.Values) Outcome {
	request, err := w.load.post(ctx, "/oauth2/token", f.client, f.confidential, form)
	if err != nil {
		return Wrong
	}
	r.Client, r.Sector = f.client, "shop"
	w.send(ctx, &r, request, func(got tokens) {
		r.Out = digest(got.Refresh)
		if got.Refresh != "" {
			f.refresh = got.Refresh
		}
		f.access, f.accessAt = got.Access, time.Now()
		r.Subject, r.Fault = w.subjectOf(ctx, got.Access)
	})
	return r.Outcome
}

// send sends a request, reads the answer into take, and writes the record.
func (w *walker) send(ctx context.Context, r *Record, request *http.Request, take func(tokens)) {
	r.Person, r.Start = w.person, w.load.Journal.now()
	a, replica, err := w.load.balancer.send(request)
	r.End, r.Replica = w.load.Journal.now(), replica.Name
	r.Outcome, r.Said = judge(a, err, http.StatusOK)
	if r.Outcome == OK && take != nil {
		var got tokens
		if err := json.Unmarshal(a.body, &got); err != nil || got.Access == "" {
			r.Fault = "no tokens in the answer"
		} else {
			take(got)
		}
	}
	if ctx.Err() == nil {
		w.load.Journal.write(*r)
	}
}

// subjectOf verifies an access token, as every resource server would.
func (w *walker) subjectOf(ctx context.Context, token string) (subject, fault string) {
	for _, keys := range w.load.keys {
		c, err := keys.verify(ctx, token)
		switch {
		case errors.Is(err, errNoKeys):
			continue
		case err != nil:
			return "", "the token does not verify: " + err.Error()
		}
		w.load.verified.Add(1)
		subject = c.Subject
	}
	return subject, ""
}

// exchange is pay, which was called with the app's token and calls the market.
func (w *walker) exchange(ctx context.Context, f *family) {
	request, err := w.load.post(ctx, "/oauth2/token", "pay.backend", true, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {f.access},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "resource": {marketAPI}, "scope": {"items.read"},
	})
	if err != nil {
		return
	}
	r := Record{Op: Exchange, Family: f.id, Client: "pay.backend", Sector: "pay"}
	w.send(ctx, &r, request, func(got tokens) { r.Subject, r.Fault = w.subjectOf(ctx, got.Access) })
}

// introspect is pay, which asks about the token it was called with.
func (w *walker) introspect(ctx context.Context, f *family) {
	request, err := w.load.post(ctx, "/oauth2/introspect", "pay.backend", true, url.Values{"token": {f.access}})
	if err != nil {
		return
	}
	r := Record{Op: Introspect, Family: f.id, Client: "pay.backend", Person: w.person, Start: w.load.Journal.now()}
	a, replica, err := w.load.balancer.send(request)
	r.End, r.Replica = w.load.Journal.now(), replica.Name
	r.Outcome, r.Said = judge(a, err, http.StatusOK)
	if r.Outcome == OK {
		var told struct {
			Active  bool   `json:"active"`
			Subject string `json:"sub"`
		}
		if err := json.Unmarshal(a.body, &told); err != nil {
			r.Fault = "an answer that is no JSON"
		}
		if r.Sector, r.Subject = "shop", told.Subject; !told.Active {
			r.Outcome, r.Said = Refused, "not active"
		}
	}
	if ctx.Err() == nil {
		w.load.Journal.write(r)
	}
}

// revoke ends a family, until that is acknowledged, and then tries to use it.
func (w *walker) revoke(ctx context.Context, at int, ended <-chan struct{}) {
	f := w.families[at]
	w.families = slices.Delete(w.families, at, at+1)
	for range retries {
		request, err := w.load.post(ctx, "/oauth2/revoke", f.client, f.confidential, url.Values{"token": {f.refresh}})
		if err != nil {
			return
		}
		r := Record{Op: Revoke, Family: f.id, Client: f.client}
		w.send(ctx, &r, request, nil)
		if r.Outcome != Unavailable && r.Outcome != Unknown {
			break
		}
		select {
		case <-ended:
			return
		case <-time.After(retryWait):
		}
	}
	w.once(ctx, f)
	w.exchange(ctx, f)
	w.introspect(ctx, f)
}

// service is a backend that asks for itself.
func (w *walker) service(ctx context.Context) {
	client := "pay.backend"
	if w.load.Backends > 0 {
		client = Backend(w.chance.IntN(w.load.Backends))
	}
	request, err := w.load.post(ctx, "/oauth2/token", client, true, url.Values{
		"grant_type": {"client_credentials"}, "scope": {"settle"}, "resource": {marketAPI},
	})
	if err != nil {
		return
	}
	r := Record{Op: Service, Client: client}
	w.send(ctx, &r, request, func(got tokens) { _, r.Fault = w.subjectOf(ctx, got.Access) })
}
