package signin

import (
	"time"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/oauth"
)

// step is where a request stands.
type step string

const (
	stepSignIn  step = "sign in"
	stepVerify  step = "verify"
	stepSignUp  step = "sign up"
	stepChoose  step = "choose an account"
	stepConsent step = "consent"
	stepFinish  step = "finish"
)

// signsIn reports whether the step is one at which people sign in.
func (s step) signsIn() bool { return s == stepSignIn || s == stepChoose || s == stepSignUp }

// situation is all that decides the next step.
type situation struct {
	request      *Request
	session      *grant.Session // nil when nobody is signed in
	leastACR     string         // how strongly the client has its people sign in at least
	needsConsent bool           // the client is another company's
	scopes       grant.Scopes   // that the client would get
	detailed     bool           // with authorization details, which are of this request alone
	consent      grant.Scopes   // that the person allowed it before
	now          time.Time
}

// next decides what comes next for a request. It is asked after every page and
// looks at nothing but its argument. A request that must not show a page is
// refused where one would be needed (OIDC Core §3.1.2.6).
func next(s situation) (step, *oauth.Error) {
	at := s.step()
	if !s.request.Prompt.None {
		return at, nil
	}
	switch at {
	case stepFinish:
		return stepFinish, nil
	case stepConsent:
		return "", oauth.Refuse(oauth.ConsentRequired, "The person has not yet allowed this access, and prompt=none forbids to ask.")
	default:
		return "", oauth.Refuse(oauth.LoginRequired, "The person must sign in, and prompt=none forbids to ask.")
	}
}

func (s situation) step() step {
	prompt, here := s.request.Prompt, s.signedInHere()
	switch {
	case s.request.half(s.now) != nil:
		return stepVerify
	case prompt.Create && !here:
		return stepSignUp
	case s.session == nil:
		return stepSignIn
	case prompt.Login && !here: // OIDC Core §3.1.2.1; a session alone never does
		return stepSignIn
	case s.tooOld() && !here: // OIDC Core §3.1.2.1, max_age
		return stepSignIn
	case s.otherAccount(): // OIDC Core §3.1.2.2: never an answer about somebody else
		return stepSignIn
	case s.tooWeak(): // OIDC Core §3.1.2.1, acr_values; RFC 9470
		return stepVerify
	case prompt.SelectAccount && !here && s.request.Chosen != sessionName(s.session):
		return stepChoose
	case s.consentMissing():
		return stepConsent
	}
	return stepFinish
}

// tooOld reports whether the client wants a sign-in that is newer than the session's, or
// than anybody can tell.
func (s situation) tooOld() bool {
	return s.request.tooOld(s.session.AuthTime, s.now) || s.request.MaxAge != nil && !present(s.session)
}

// tooWeak reports whether the person must prove who they are in another way, too.
func (s situation) tooWeak() bool {
	return weaker(s.session.ACR, s.leastACR) || weaker(s.session.ACR, s.request.ACR)
}

// signedInHere reports whether the session's person gave the password for this
// very request.
func (s situation) signedInHere() bool {
	return s.session != nil && s.request.SignedIn == sessionName(s.session)
}

// otherAccount reports whether the client asked for another person than the one
// who is signed in.
func (s situation) otherAccount() bool {
	return s.session != nil && s.request.Account != "" && s.request.Account != s.session.AccountID
}

// consentMissing reports whether the person must be asked. A prompt=consent asks
// once more for what was allowed before; authorization details are asked for each
// time, since each payment is another (RFC 9396 §7.1).
func (s situation) consentMissing() bool {
	if !s.needsConsent {
		return false
	}
	asked := s.request.Consented == sessionName(s.session)
	return len(s.scopes.Missing(s.consent)) > 0 || (s.request.Prompt.Consent || s.detailed) && !asked
}
