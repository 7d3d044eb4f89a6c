package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
)

// tap shows in the trace what one system asks of the authorization server. Calls
// between systems are shown by the system that is called (Trace.api), which
// alone knows who stands behind them.
type tap struct {
	trace  *Trace
	party  string
	issuer string
	next   http.RoundTripper
}

// Bodies beyond this are no answers of an authorization server.
const longestBody = 1 << 20

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	path, ours := strings.CutPrefix(r.URL.Scheme+"://"+r.URL.Host+r.URL.Path, t.issuer)
	if !ours || r.Method != http.MethodPost || strings.HasPrefix(path, "/ssf/") {
		return t.next.RoundTrip(r) // metadata, keys and streams are fetched too often to be news
	}
	sent, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	step := Step{From: t.party, To: partyServer, Title: "asks " + path, Running: true}
	switch {
	case strings.HasSuffix(path, "/token"):
		t.describeTokenRequest(&step, sent)
	case strings.HasSuffix(path, "/convert"):
		describeConversion(&step, sent)
	case strings.HasSuffix(path, "/revoke"):
		step.Title = "ends a token"
	}
	number := t.trace.begin(step)
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		t.trace.amend(number, func(s *Step) {
			s.Running, s.Refusal = false, &Refusal{Code: "unreachable", Why: "no answer"}
		})
		return nil, err
	}
	received, err := readAnswer(answer)
	if err != nil {
		return nil, err
	}
	t.trace.amend(number, func(s *Step) {
		s.Running = false
		s.Refusal = refusalIn(answer.StatusCode, answer.Header, received)
		s.Tokens = append(s.Tokens, t.tokensIn(received)...)
	})
	return answer, nil
}

func readRequest(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	sent, err := io.ReadAll(io.LimitReader(r.Body, longestBody))
	err = errors.Join(err, r.Body.Close())
	r.Body = io.NopCloser(bytes.NewReader(sent))
	return sent, err
}

func readAnswer(answer *http.Response) ([]byte, error) {
	received, err := io.ReadAll(io.LimitReader(answer.Body, longestBody))
	err = errors.Join(err, answer.Body.Close())
	answer.Body = io.NopCloser(bytes.NewReader(received))
	return received, err
}

var grantTitles = map[oauth.GrantType]string{
	oauth.GrantAuthorizationCode: "redeems the code",
	oauth.GrantRefreshToken:      "asks for a token with its refresh token",
	oauth.GrantClientCredentials: "asks for a token for itself",
	oauth.GrantTokenExchange:     "exchanges the token it was called with",
}

func (t *tap) describeTokenRequest(step *Step, sent []byte) {
	form, err := url.ParseQuery(string(sent))
	if err != nil {
		return
	}
	grant := oauth.GrantType(form.Get("grant_type"))
	step.Title = grantTitles[grant]
	if scope := form.Get("scope"); scope != "" {
		step.Title += ": " + scope
	}
	if form.Get("subject_token_type") == string(oauth.TokenTypeSubject) {
		var events []oauth.EventDetail
		if json.Unmarshal([]byte(form.Get("authorization_details")), &events) == nil {
			step.Title = "asks for the proof of an event for " + receiversOf(events)
		}
		return
	}
	if grant == oauth.GrantTokenExchange {
		step.Tokens = append(step.Tokens, t.trace.readToken("token it was called with", form.Get("subject_token")))
	}
}

func receiversOf(events []oauth.EventDetail) string {
	names := make([]string, len(events))
	for i, one := range events {
		names[i] = one.Receiver
	}
	return strings.Join(names, ", ")
}

func describeConversion(step *Step, sent []byte) {
	var asked struct {
		From     string   `json:"from"`
		To       string   `json:"to"`
		Subjects []string `json:"subjects"`
	}
	if json.Unmarshal(sent, &asked) == nil {
		step.Title = fmt.Sprintf("converts ids: from %s to %s (%d)", asked.From, asked.To, len(asked.Subjects))
	}
}

func (t *tap) tokensIn(received []byte) []Token {
	var answer oauth.TokenResponse
	if json.Unmarshal(received, &answer) != nil || answer.AccessToken == "" {
		return nil
	}
	if len(answer.AuthorizationDetails) > 0 {
		var events []oauth.EventDetail
		_ = json.Unmarshal(answer.AuthorizationDetails, &events) // what is none has no proofs
		var proofs []Token
		for _, one := range events {
			if one.IDToken != "" {
				proofs = append(proofs, t.trace.readProof(one.IDToken))
			}
		}
		return proofs
	}
	tokens := []Token{t.trace.readToken("access token", answer.AccessToken)}
	if answer.IDToken != "" {
		tokens = append(tokens, t.trace.readToken("ID token", answer.IDToken))
	}
	if answer.RefreshToken != "" {
		tokens = append(tokens, Token{Kind: "refresh token"})
	}
	return tokens
}

// refusalIn reads an error answer: the JSON of the OAuth endpoints, or the
// challenge of a resource server (RFC 6750 §3).
func refusalIn(status int, header http.Header, body []byte) *Refusal {
	if status < http.StatusBadRequest {
		return nil
	}
	refusal := &Refusal{Status: status, Code: http.StatusText(status)}
	var wire oauth.Error
	if json.Unmarshal(body, &wire) == nil && wire.Code != "" {
		refusal.Code, refusal.Why = string(wire.Code), wire.Description
		return refusal
	}
	challenge := header.Get("WWW-Authenticate")
	if code := parameter(challenge, "error"); code != "" {
		refusal.Code, refusal.Why = code, parameter(challenge, "error_description")
	}
	return refusal
}

// parameter finds name="value" in a challenge.
func parameter(challenge, name string) string {
	_, rest, found := strings.Cut(challenge, " "+name+`="`)
	if !found {
		_, rest, found = strings.Cut(challenge, ","+name+`="`)
	}
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// api shows each call of a system's API as a step, from the party the token
// names; the handlers behind it add who stands behind the call.
func (t *Trace) api(party string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		step := Step{From: "?", To: party, Title: r.Method + " " + r.URL.Path, Running: true}
		if access, ok := presented(r); ok {
			token := t.readToken("access token", access)
			step.Tokens, step.From = []Token{token}, partyOf(token.Client)
		}
		t.observe(step, next, w, r)
	})
}

// told shows each event that reaches a system as a step, from the party that its
// proof names as the publisher.
func (t *Trace) told(party string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		compact, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims := readEvent(compact)
		if len(claims.Events) == 0 {
			next.ServeHTTP(w, r) // the challenge of a subscription
			return
		}
		step := Step{From: partyOf(claims.AuthorizedParty), To: party, Running: true, Tokens: []Token{t.readProof(compact)}}
		for uri := range claims.Events {
			step.Title = "tells: " + typeName(uri)
		}
		t.observe(step, next, w, r)
	})
}

// visit shows a browser's visit to a site as a step.
func (t *Trace) visit(party, title string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.observe(Step{From: partyBrowser, To: party, Title: title, Running: true}, next, w, r)
	})
}

func (t *Trace) observe(step Step, next http.Handler, w http.ResponseWriter, r *http.Request) {
	number := t.begin(step)
	watched := &watchedWriter{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		t.amend(number, func(s *Step) {
			s.Running = false
			s.Refusal = refusalIn(watched.status, w.Header(), watched.body.Bytes())
		})
	}()
	next.ServeHTTP(watched, r.WithContext(context.WithValue(r.Context(), stepKey{}, number)))
}

// watchedWriter remembers the status, and the body of an error.
type watchedWriter struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *watchedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(data []byte) (int, error) {
	if w.status >= http.StatusBadRequest && w.body.Len() < longestBody {
		w.body.Write(data)
	}
	return w.ResponseWriter.Write(data)
}
