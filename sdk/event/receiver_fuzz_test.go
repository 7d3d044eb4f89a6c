package event

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
)

// always is an inbox that has seen nothing.
type always struct{}

func (always) Once(_ context.Context, _, _ string, work func(*sql.Tx) error) error { return work(nil) }

// fuzzReceiver is a receiver that keeps the last event its handler saw.
func fuzzReceiver(f *testing.F) (issuer *issuertest.Issuer, receiver *Receiver, last *[]Event) {
	f.Helper()
	issuer = issuertest.New()
	f.Cleanup(issuer.Close)
	receiver, err := NewReceiver(f.Context(), Config{
		Issuer: issuer.URL, Audience: "crypto", Now: issuer.Clock.Now, Inbox: always{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	last = new([]Event)
	receiver.Handle(issuertest.ItemSold, func(_ context.Context, _ *sql.Tx, e *Event) error {
		*last = append(*last, *e)
		return nil
	})
	return issuer, receiver, last
}

// FuzzReceiver holds that of all requests those alone are handled that carry a
// token as it was issued, in the form that it is for. In headers and body {set}
// and {credential} stand for good tokens and {body} for what is proved.
func FuzzReceiver(f *testing.F) {
	const body = `{"item":"a lamp"}`
	issuer, receiver, seen := fuzzReceiver(f)
	set := issuer.SET(issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{"item": "a lamp"}))
	credential := issuer.EventToken(issuer.DeliveryClaims("alice", "crypto", []byte(body)))
	for _, seed := range [][3]string{
		{"application/secevent+jwt", "", "{set}"},
		{"application/json", "Bearer {credential}", "{body}"},
		{"application/json; charset=utf-8", "bearer {credential}", "{body}"},
		{"application/json", "Bearer {set}", "{body}"},
		{"application/json", "Bearer {credential} ", "{body} "},
		{"application/json", "Bearer  {credential}", "{body}"},
		{"application/secevent+jwt", "Bearer {credential}", "{set}\n"},
		{"application/secevent+jwt", "", "{credential}"},
		{"application/json", "", `{"type":"verification","challenge":"c"}`},
		{"application/json", "", `{"sets":{"a":"{set}"}}`},
		{"APPLICATION/SECEVENT+JWT;a=b", "Basic YTpi", "{set}"},
		{"application/jwt", "Bearer {credential}", "{set}"},
		{"", "", ""},
		{";", "Bearer", "eyJhbGciOiJub25lIn0.e30."},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	put := strings.NewReplacer("{set}", set, "{credential}", credential, "{body}", body)
	f.Fuzz(func(t *testing.T, contentType, authorization, text string) {
		authorization, text = put.Replace(authorization), put.Replace(text)
		request := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(text))
		request.Header.Set("Content-Type", contentType)
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		*seen = nil
		recorder := httptest.NewRecorder()
		receiver.ServeHTTP(recorder, request)

		mediaType, _, err := mime.ParseMediaType(contentType)
		scheme, token, _ := strings.Cut(authorization, " ")
		good := err == nil && (mediaType == "application/secevent+jwt" && text == set ||
			mediaType == "application/json" && strings.EqualFold(scheme, "Bearer") && token == credential && text == body)
		// A key nobody knows may be one that was published since.
		late := recorder.Code == http.StatusServiceUnavailable
		if (recorder.Code == http.StatusAccepted) != good || len(*seen) > 0 != good || !good && !late && recorder.Code != http.StatusBadRequest {
			t.Errorf("%q %q %q: answered %d %s, handled %v", contentType, authorization, text, recorder.Code, recorder.Body, *seen)
		}
	})
}

// FuzzClaims holds that whatever the issuer signs, an event is handled only if
// its claims say what they must, read in the plainest way there is.
func FuzzClaims(f *testing.F) {
	const body = `{}`
	issuer, receiver, seen := fuzzReceiver(f)
	seed := func(claims map[string]any) {
		encoded, err := json.Marshal(claims)
		if err != nil {
			f.Fatal(err)
		}
		// The issuer's address is another at each run.
		f.Add(strings.ReplaceAll(string(encoded), issuer.URL, "{iss}"))
	}
	seed(issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{}))
	seed(issuer.DeliveryClaims("alice", "crypto", []byte(body)))
	seed(issuer.SessionRevoked("alice", "crypto", "s1", "market-app"))
	seed(issuer.Verification("crypto", "stream-1", "state"))
	seed(issuer.LogoutClaims("crypto.web"))
	seed(issuertest.With(issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{}), map[string]any{"aud": []string{"crypto", "pay"}}))
	seed(issuertest.With(issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{}), map[string]any{"iat": 1.5e9, "exp": -1}))
	f.Add(`{"iss":"{iss}","iss":"x"}`)
	f.Add(`[]`)
	f.Add(`null`)
	sign := func(t *testing.T, typ, payload string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: issuer.Key},
			(&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", issuer.KeyID))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		compact, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	f.Fuzz(func(t *testing.T, payload string) {
		payload = strings.ReplaceAll(payload, "{iss}", issuer.URL)
		var claims map[string]any
		_ = json.Unmarshal([]byte(payload), &claims)
		events, _ := claims["events"].(map[string]any)
		for typ, take := range map[string]func(token string) error{
			oauth.TypSET: func(token string) error { return receiver.takeSET(t.Context(), token) },
			oauth.TypEvent: func(token string) error {
				e, err := receiver.verifyCredential(t.Context(), token, []byte(body))
				if err != nil {
					return err
				}
				return receiver.take(t.Context(), e)
			},
		} {
			*seen = nil
			err := take(sign(t, typ, payload))
			var refusal *Refusal
			switch {
			case err != nil && !errors.As(err, &refusal):
				t.Errorf("%s: %v", payload, err)
			case err != nil && len(*seen) > 0:
				t.Errorf("%s: handled and refused", payload)
			case err == nil && (claims["iss"] != issuer.URL || len(events) != 1 || claims["nonce"] != nil || !forCrypto(claims["aud"])):
				t.Errorf("%s: accepted as %s", payload, typ)
			case err == nil && typ == oauth.TypSET && (claims["sub_id"] == nil || claims["exp"] != nil || claims["sub"] != nil):
				t.Errorf("%s: accepted as a SET", payload)
			case err == nil && typ == oauth.TypEvent && (claims["sub"] == "" || claims["exp"] == nil || claims["azp"] == nil):
				t.Errorf("%s: accepted as a credential", payload)
			}
			for _, e := range *seen {
				if e.ID != claims["jti"] || e.Subject == "" || events[e.Type] == nil {
					t.Errorf("%s: handled %+v", payload, e)
				}
			}
		}
	})
}

func forCrypto(audience any) bool {
	list, ok := audience.([]any)
	return audience == "crypto" || ok && len(list) == 1 && list[0] == "crypto"
}

// FuzzPollAnswer holds that of whatever a hub answers, what was a good token
// under its own name is acknowledged, what was none is reported, and nothing
// else is said.
func FuzzPollAnswer(f *testing.F) {
	issuer, receiver, _ := fuzzReceiver(f)
	receiver.sleep = func(context.Context, time.Duration) {}
	claims := issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{})
	set := issuer.SET(issuertest.With(claims, map[string]any{"jti": "id-1"}))
	for _, seed := range []string{
		`{"sets":{"id-1":"{set}"},"moreAvailable":true}`, `{"sets":{"id-2":"{set}","id-1":"{set}"}}`, `{"sets":{"id-1":""}}`,
		`{"sets":{}}`, `{"sets":null}`, `{"sets":[]}`, `{"sets":{"id-1":1}}`, `{"Sets":{"id-1":"{set}"}}`, `{}`, `[]`, `null`, ``, `{"sets":{"id-1":"{set}","id-1":"x"}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "{set}", set)
		p := &poller{receiver: receiver, endpoint: "https://id.market.example/ssf/poll/stream-1", hub: &http.Client{Transport: answering(text)}}
		if err := p.poll(t.Context()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		var answer pollAnswer
		if json.Unmarshal([]byte(text), &answer) != nil {
			answer = pollAnswer{}
		}
		if len(p.ack) > 1 || len(p.ack) == 1 && (p.ack[0] != "id-1" || !slices.Contains(answer.Sets, polledSet{"id-1", set})) {
			t.Errorf("%q: acknowledged %q", text, p.ack)
		}
		for _, one := range answer.Sets {
			id, token := one.id, one.token
			_, refused := p.refused[id]
			good := id == "id-1" && token == set
			if refused == good || len(p.ack) == 0 && good {
				t.Errorf("%q: %s refused: %v", text, id, refused)
			}
		}
		if len(p.refused) > len(answer.Sets) {
			t.Errorf("%q: refused %v", text, p.refused)
		}
	})
}

// answering is a hub that answers a text.
type answering string

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader([]byte(a))),
	}, nil
}
