package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	sold = market + "/events/item.sold"
	gone = market + "/events/item.gone"
)

// peer is a client that publishes or receives events.
type peer struct {
	w     *world
	id    string
	token string
	media string // sent as Content-Type
}

// peer is a client with a token in service context that has the scopes, whether
// or not it would get one.
func (w *world) peer(id string, scopes ...string) *peer {
	w.t.Helper()
	return &peer{w: w, id: id, token: w.serviceTokenFor(id, issuer, scopes...), media: "application/json"}
}

func (w *world) serviceTokenFor(id, audience string, scopes ...string) string {
	w.t.Helper()
	client, ok := w.app.Registry.Current().Client(id)
	if !ok {
		w.t.Fatalf("no client %s", id)
	}
	issued, err := w.app.Mint.ServiceToken(mint.ServiceToken{Client: client, Audience: oauth.Audience{audience}, Scopes: scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	return issued.Token
}

// receiver and publisher get their tokens as any client does.
func (w *world) receiver(id string) *peer { return w.granted(id, "ssf.read ssf.manage") }

func (w *world) publisher() *peer { return w.granted("market.gateway", "events:publish") }

func (w *world) granted(id, scope string) *peer {
	w.t.Helper()
	rp := &relyingParty{w: w, id: id}
	got := rp.wantTokens(rp.post("/oauth2/token", "grant_type", "client_credentials", "scope", scope))
	return &peer{w: w, id: id, token: got.AccessToken, media: "application/json"}
}

// send sends a request with a JSON body, which may be text as it is, a value, or
// nil for none.
func (p *peer) send(method, path string, body any) answer {
	p.w.t.Helper()
	return p.sendIn(p.w.t.Context(), method, path, body)
}

func (p *peer) sendIn(ctx context.Context, method, path string, body any) answer {
	p.w.t.Helper()
	var reader io.Reader
	switch content := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(content)
	default:
		text, err := json.Marshal(content)
		if err != nil {
			p.w.t.Fatal(err)
		}
		reader = strings.NewReader(string(text))
	}
	r, err := http.NewRequestWithContext(ctx, method, issuer+path, reader)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", p.media)
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	return p.w.do(r)
}

// members are a JSON object.
type members = map[string]any

// want sends a request and gives the answer, which must have the status, and be
// stored nowhere.
func (p *peer) want(status int, method, path string, body any) members {
	p.w.t.Helper()
	a := p.send(method, path, body)
	if a.status != status || a.header.Get("Cache-Control") != "no-store" {
		p.w.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	if a.body == "" {
		return nil
	}
	if a.header.Get("Content-Type") != "application/json" {
		p.w.t.Fatalf("%s %s: content type %q", method, path, a.header.Get("Content-Type"))
	}
	return decode[members](p.w.t, a.body)
}

// refused sends a request that must be refused.
func (p *peer) refused(name string, status int, code oauth.Code, method, path string, body any) answer {
	p.w.t.Helper()
	a := p.send(method, path, body)
	got := decode[oauth.Error](p.w.t, a.body)
	if a.status != status || got.Code != code || !plain(got.Description) || got.Description == "" {
		p.w.t.Errorf("%s: %d %s, want %d %s", name, a.status, a.body, status, code)
	}
	if a.status == http.StatusUnauthorized && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
		p.w.t.Errorf("%s: WWW-Authenticate %q", name, a.header.Get("WWW-Authenticate"))
	}
	return a
}

// makeStream makes the stream of a receiver and gives its id.
func (p *peer) makeStream(form any) string {
	p.w.t.Helper()
	id, ok := p.want(http.StatusCreated, http.MethodPost, "/ssf/streams", form)["stream_id"].(string)
	if !ok || id == "" {
		p.w.t.Fatal("a stream without stream_id")
	}
	return id
}

func (p *peer) stream(id string) members {
	p.w.t.Helper()
	return p.want(http.StatusOK, http.MethodGet, "/ssf/streams?stream_id="+id, nil)
}

var pollDelivery = members{"delivery": members{"method": oauth.DeliveryPoll}}

// pollAnswer is the answer to a poll (RFC 8936 §2.3).
type pollAnswer struct {
	Sets          map[string]string `json:"sets"`
	MoreAvailable bool              `json:"moreAvailable"`
}

// poll polls a stream, by default without waiting.
func (p *peer) poll(stream string, form members) pollAnswer {
	p.w.t.Helper()
	if _, told := form["returnImmediately"]; !told {
		form["returnImmediately"] = true
	}
	a := p.send(http.MethodPost, "/ssf/poll/"+stream, form)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || !strings.Contains(a.body, `"sets":{`) {
		p.w.t.Fatalf("poll: %d %s", a.status, a.body)
	}
	return decode[pollAnswer](p.w.t, a.body)
}

// sets polls and gives the claims of what comes, by the event's type.
func (p *peer) sets(stream string) map[string][]members {
	p.w.t.Helper()
	found := map[string][]members{}
	for id, set := range p.poll(stream, members{}).Sets {
		claims := p.w.checkSET(set, id)
		for kind := range claims["events"].(members) {
			found[kind] = append(found[kind], claims)
		}
	}
	return found
}

// sub is the subject of the person in the sector of a subsystem.
func (w *world) sub(subsystem string, who account.Ref) string {
	w.t.Helper()
	found, ok := w.app.Registry.Current().Subsystem(subsystem)
	if !ok {
		w.t.Fatalf("no subsystem %s", subsystem)
	}
	return w.app.Pairwise.Subject(found.Sector, who)
}

// newPerson signs somebody up.
func (w *world) newPerson(name string) *account.Account {
	w.t.Helper()
	person, err := w.app.People.SignUp(w.t.Context(), account.NewAccount{Email: name + "@example.test", Password: "nine soft lanterns drifting"})
	if err != nil {
		w.t.Fatal(err)
	}
	return person
}

// event is an event that market publishes about the person, changed by pairs.
func (w *world) event(id string, pairs ...any) members {
	event := members{"id": id, "type": "item.sold", "subject": w.sub("market", w.person.Ref), "data": members{"item": "tea bowl"}}
	for i := 0; i < len(pairs); i += 2 {
		event[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(event, pairs[i].(string))
		}
	}
	return event
}

// checkSET makes the checks that hold for every SET (check E1), and gives its
// claims.
func (w *world) checkSET(set, id string) members {
	w.t.Helper()
	header := decode[members](w.t, segment(w.t, set, 0))
	if header["typ"] != "secevent+jwt" || header["alg"] != "RS256" {
		w.t.Errorf("header %v", header)
	}
	signed, err := gojose.ParseSignedCompact(set, []gojose.SignatureAlgorithm{gojose.RS256})
	if err != nil {
		w.t.Fatal(err)
	}
	payload, err := signed.Verify(w.publishedKey(set))
	if err != nil {
		w.t.Fatal(err)
	}
	claims := decode[members](w.t, string(payload))
	for _, forbidden := range []string{"sub", "exp"} {
		if _, there := claims[forbidden]; there {
			w.t.Errorf("a SET with %s", forbidden)
		}
	}
	events, _ := claims["events"].(members)
	subject, _ := claims["sub_id"].(members)
	if claims["iss"] != issuer || claims["jti"] != id || len(events) != 1 || subject["format"] == nil {
		w.t.Errorf("claims %v", claims)
	}
	if iat, ok := claims["iat"].(float64); !ok || time.Unix(int64(iat), 0).After(w.clock.Now()) {
		w.t.Errorf("iat %v", claims["iat"])
	}
	return claims
}
