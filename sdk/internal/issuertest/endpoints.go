package issuertest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
)

// Subject is the subject of a person for a client.
func Subject(person, clientID string) string {
	subsystem, _, _ := strings.Cut(clientID, ".")
	return person + "." + subsystem
}

func (i *Issuer) metadata(w http.ResponseWriter, _ *http.Request) {
	metadata := oauth.Metadata{
		Issuer:                i.URL,
		AuthorizationEndpoint: i.URL + "/oauth2/authorize",
		TokenEndpoint:         i.URL + "/oauth2/token",
		UserinfoEndpoint:      i.URL + "/oauth2/userinfo",
		JWKSURI:               i.URL + "/oauth2/jwks",
		IntrospectionEndpoint: i.URL + "/oauth2/introspect",
		RevocationEndpoint:    i.URL + "/oauth2/revoke",
		EndSessionEndpoint:    i.URL + "/oauth2/logout",
		AuthorizationResponseISSParameterSupported: true,
	}
	if i.Describe != nil {
		i.Describe(&metadata)
	}
	write(w, http.StatusOK, metadata)
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	set := jose.JSONWebKeySet{Keys: i.keys}
	i.mu.Unlock()
	if i.CacheControl != "" {
		w.Header().Set("Cache-Control", i.CacheControl)
	}
	write(w, http.StatusOK, set)
}

// authorization is what a code stands for.
type authorization struct {
	client, redirect, nonce, challenge string
}

// authorize signs alice in without a question.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	i.mu.Lock()
	i.number++
	code := fmt.Sprintf("code-%d", i.number)
	i.codes[code] = authorization{
		client: query.Get("client_id"), redirect: query.Get("redirect_uri"),
		nonce: query.Get("nonce"), challenge: query.Get("code_challenge"),
	}
	i.mu.Unlock()
	back := url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {i.URL}}
	http.Redirect(w, r, query.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	if _, ok := i.client(w, r); !ok {
		return
	}
	answer := i.Known[r.PostForm.Get("token")]
	if answer == nil {
		answer = &oauth.Introspection{}
	}
	write(w, http.StatusOK, answer)
}

func (i *Issuer) revoke(w http.ResponseWriter, r *http.Request) {
	if _, ok := i.client(w, r); ok {
		delete(i.Known, r.PostForm.Get("token"))
	}
}

func (i *Issuer) userinfo(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]string{"sub": Subject("alice", "market-app.web"), "name": "Alice"})
}

// convert turns "alice.pay" into "alice.market". Nobody is called ghost.
func (i *Issuer) convert(w http.ResponseWriter, r *http.Request) {
	var question struct {
		From, To string
		Subjects []string
	}
	if json.NewDecoder(r.Body).Decode(&question) != nil || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer service-") {
		write(w, http.StatusForbidden, oauth.Refuse(oauth.InsufficientScope, "no"))
		return
	}
	i.mu.Lock()
	i.batch = append(i.batch, question.Subjects)
	hold := i.hold
	i.mu.Unlock()
	if hold != nil {
		<-hold
	}
	answers := make([]*string, len(question.Subjects))
	for n, subject := range question.Subjects {
		person, ok := strings.CutSuffix(subject, "."+question.From)
		if ok && person != "ghost" {
			answer := Subject(person, question.To)
			if i.Rekeyed {
				answer = renewed(answer)
			}
			answers[n] = &answer
		}
	}
	write(w, http.StatusOK, map[string]any{"subjects": answers})
}

// renewed is what a subject is once its sector was re-keyed.
func renewed(subject string) string {
	person, subsystem, _ := strings.Cut(subject, ".")
	return person + ".new." + subsystem
}

// reissue renews the subjects of a sector that was re-keyed.
func (i *Issuer) reissue(w http.ResponseWriter, r *http.Request) {
	var question struct{ Subjects []string }
	if json.NewDecoder(r.Body).Decode(&question) != nil || !i.Rekeyed || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer service-") {
		write(w, http.StatusForbidden, oauth.Refuse(oauth.InsufficientScope, "no"))
		return
	}
	current, former := make([]*string, len(question.Subjects)), make([]*string, len(question.Subjects))
	for n, subject := range question.Subjects {
		subject = strings.Replace(subject, ".new.", ".", 1)
		if strings.Count(subject, ".") == 1 && !strings.HasPrefix(subject, "ghost") {
			now := renewed(subject)
			current[n], former[n] = &now, &subject
		}
	}
	write(w, http.StatusOK, map[string]any{"subjects": current, "former": former})
}

// Batches are the conversions asked for so far.
func (i *Issuer) Batches() [][]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([][]string(nil), i.batch...)
}

// Hold keeps conversions from being answered until release is called.
func (i *Issuer) Hold() (release func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	hold := make(chan struct{})
	i.hold = hold
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.hold = nil
		close(hold)
	}
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func refuse(w http.ResponseWriter, code oauth.Code, why string) {
	refusal := oauth.Refuse(code, why)
	write(w, refusal.HTTPStatus(), refusal)
}
