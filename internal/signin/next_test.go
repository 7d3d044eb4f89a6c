package signin

import (
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/oauth"
)

// TestNext is the whole table of what comes next.
func TestNext(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	session := &grant.Session{ID: [16]byte{1}, AccountID: "aiko", AuthTime: now.Add(-10 * time.Minute)}
	here := sessionName(session)
	seconds := func(n int64) *int64 { return &n }
	market := grant.Scopes{"https://api.market.test": {"items.read"}}
	wider := grant.Scopes{"https://api.market.test": {"items.read", "items.write"}}

	for _, test := range []struct {
		name    string
		request Request
		session *grant.Session
		third   bool // a client of another company
		consent grant.Scopes
		want    step
		refused oauth.Code
	}{
		{name: "nobody is signed in", want: stepSignIn},
		{name: "nobody is signed in, create", request: Request{Prompt: Prompt{Create: true}}, want: stepSignUp},
		{name: "nobody is signed in, none", request: Request{Prompt: Prompt{None: true}}, refused: oauth.LoginRequired},
		{name: "signed in", session: session, want: stepFinish},
		{name: "signed in, none", session: session, request: Request{Prompt: Prompt{None: true}}, want: stepFinish},
		{name: "login asks again", session: session, request: Request{Prompt: Prompt{Login: true}}, want: stepSignIn},
		{name: "login is done", session: session, request: Request{Prompt: Prompt{Login: true}, SignedIn: here}, want: stepFinish},
		{name: "login was done by another session", session: session, request: Request{Prompt: Prompt{Login: true}, SignedIn: "02"}, want: stepSignIn},
		{name: "create though signed in", session: session, request: Request{Prompt: Prompt{Create: true}}, want: stepSignUp},
		{name: "create is done", session: session, request: Request{Prompt: Prompt{Create: true}, SignedIn: here}, want: stepFinish},
		{name: "max_age long enough", session: session, request: Request{MaxAge: seconds(600)}, want: stepFinish},
		{name: "max_age too short", session: session, request: Request{MaxAge: seconds(599)}, want: stepSignIn},
		{name: "max_age too short, none", session: session, request: Request{MaxAge: seconds(599), Prompt: Prompt{None: true}}, refused: oauth.LoginRequired},
		{name: "max_age zero", session: session, request: Request{MaxAge: seconds(0)}, want: stepSignIn},
		{name: "max_age zero is done", session: session, request: Request{MaxAge: seconds(0), SignedIn: here}, want: stepFinish},
		{name: "select_account", session: session, request: Request{Prompt: Prompt{SelectAccount: true}}, want: stepChoose},
		{name: "select_account is done", session: session, request: Request{Prompt: Prompt{SelectAccount: true}, Chosen: here}, want: stepFinish},
		{name: "select_account by signing in", session: session, request: Request{Prompt: Prompt{SelectAccount: true}, SignedIn: here}, want: stepFinish},
		{name: "select_account by another session", session: session, request: Request{Prompt: Prompt{SelectAccount: true}, Chosen: "02"}, want: stepChoose},
		{name: "select_account does not replace login", session: session, request: Request{Prompt: Prompt{SelectAccount: true, Login: true}, Chosen: here}, want: stepSignIn},
		{name: "hint of this person", session: session, request: Request{Account: "aiko"}, want: stepFinish},
		{name: "hint of another person", session: session, request: Request{Account: "ben"}, want: stepSignIn},
		{name: "hint of another person, none", session: session, request: Request{Account: "ben", Prompt: Prompt{None: true}}, refused: oauth.LoginRequired},
		{name: "hint of another person than signed in here", session: session, request: Request{Account: "ben", SignedIn: here}, want: stepSignIn},
		{name: "first party never consents", session: session, request: Request{Prompt: Prompt{Consent: true}}, want: stepFinish},
		{name: "third party consents", session: session, third: true, want: stepConsent},
		{name: "third party consents after signing in", third: true, want: stepSignIn},
		{name: "third party, none", session: session, third: true, request: Request{Prompt: Prompt{None: true}}, refused: oauth.ConsentRequired},
		{name: "remembered", session: session, third: true, consent: market, want: stepFinish},
		{name: "remembered, none", session: session, third: true, consent: wider, request: Request{Prompt: Prompt{None: true}}, want: stepFinish},
		{name: "remembered for less", session: session, third: true, consent: grant.Scopes{"https://api.market.test": {"settle"}}, want: stepConsent},
		{name: "remembered for another resource", session: session, third: true, consent: grant.Scopes{"https://api.pay.test": {"items.read"}}, want: stepConsent},
		{name: "prompt=consent asks again", session: session, third: true, consent: market, request: Request{Prompt: Prompt{Consent: true}}, want: stepConsent},
		{name: "prompt=consent is done", session: session, third: true, consent: market, request: Request{Prompt: Prompt{Consent: true}, Consented: here}, want: stepFinish},
		{name: "prompt=consent was done by another session", session: session, third: true, consent: market, request: Request{Prompt: Prompt{Consent: true}, Consented: "02"}, want: stepConsent},
		{name: "withdrawn after it was given", session: session, third: true, request: Request{Consented: here}, want: stepConsent},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at, refusal := next(situation{
				request: &test.request, session: test.session, needsConsent: test.third,
				scopes: market, consent: test.consent, now: now,
			})
			var code oauth.Code
			if refusal != nil {
				code = refusal.Code
			}
			if at != test.want || code != test.refused {
				t.Errorf("next is %q, refused %q; want %q, refused %q", at, code, test.want, test.refused)
			}
		})
	}
}

// TestChecksAreNamed keeps the table readable: each check has a name and says
// where its demand comes from, and there is one line.
func TestChecksAreNamed(t *testing.T) {
	t.Parallel()
	lines := 0
	for _, c := range checks {
		switch {
		case c.name == line.name:
			lines++
		case c.name == "" || c.cites == "" || c.run == nil:
			t.Errorf("check %q cites %q", c.name, c.cites)
		}
	}
	if lines != 1 {
		t.Errorf("%d lines are drawn, want one", lines)
	}
}
