package issuertest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
)

// maxEventDetails is how many credentials one request may ask for.
const maxEventDetails = 50

// events gives the credentials of events. Whether a receiver is declared and
// whom it knows is up to Declared and Knows.
func (i *Issuer) events(w http.ResponseWriter, form url.Values, client string) {
	var details []oauth.EventDetail
	err := json.Unmarshal([]byte(form.Get("authorization_details")), &details)
	if err != nil || len(details) == 0 || len(details) > maxEventDetails || form.Get("subject_token_type") != string(oauth.TokenTypeSubject) {
		refuse(w, oauth.InvalidRequest, "The request is not one for the credentials of events.")
		return
	}
	person, own := strings.CutSuffix(form.Get("subject_token"), Subject("", client))
	publisher := Subject("", client)[1:]
	known := 0
	for n := range details {
		detail := &details[n]
		if i.Declared != nil && !i.Declared(publisher, detail.Receiver, detail.EventType) {
			refuse(w, oauth.InvalidTarget, "The group file does not declare this event.")
			return
		}
		if own && person != "ghost" && (i.Knows == nil || i.Knows(detail.Receiver, person)) {
			detail.IDToken = i.EventToken(i.EventClaims(person, client, *detail))
			known++
		}
	}
	if known == 0 {
		refuse(w, oauth.InvalidRequest, "The subject_token names nobody the receivers may hear of.")
		return
	}
	write(w, http.StatusOK, map[string]any{
		"access_token": details[0].IDToken, "issued_token_type": oauth.TokenTypeID, "token_type": oauth.NotApplicable,
		"expires_in": 120, "authorization_details": details,
	})
}

// EventClaims are the claims of a good credential of an event about a person.
func (i *Issuer) EventClaims(person, publisherClient string, detail oauth.EventDetail) map[string]any {
	now := i.Clock.Now()
	publisher := Subject("", publisherClient)[1:]
	id := sha256.Sum256([]byte(publisher + "\n" + detail.Receiver + "\n" + detail.EventID))
	claims := map[string]any{
		"iss": i.URL, "sub": person + "." + detail.Receiver, "aud": detail.Receiver, "azp": publisherClient,
		"iat": now.Unix(), "exp": now.Unix() + 120, "jti": base64.RawURLEncoding.EncodeToString(id[:16]),
		"events": map[string]any{detail.EventType: map[string]string{"body_sha256": detail.BodySHA256}},
	}
	if detail.HappenedAt != 0 {
		claims["toe"] = detail.HappenedAt
	}
	return claims
}

// EventToken signs claims as the issuer signs the credentials of events.
func (i *Issuer) EventToken(claims map[string]any) string {
	return Sign(jose.ES256, i.Key, map[string]any{"kid": i.KeyID, "typ": oauth.TypEvent}, claims)
}
