package web

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of a form. Tokens, assertions and request objects may be longer than
// other values.
const (
	FormLimit    = 64 << 10 // bytes of a body that no door limits otherwise
	maxFields    = 64
	maxValue     = 4 << 10
	maxLongValue = 16 << 10
	maxRepeats   = 5
	usualBody    = 4 << 10
)

// longFields may hold up to 16 KiB.
var longFields = []string{
	"assertion", "client_assertion", "subject_token", "actor_token", "token",
	"request", "id_token_hint", "claims", "authorization_details",
}

// repeatable fields may be sent up to five times (RFC 8707 §2, RFC 8693 §2.1).
var repeatable = []string{"resource", "audience"}

// ParseForm reads the body of a POST as application/x-www-form-urlencoded, at
// most limit bytes. Parameters in the query beside a body, and a parameter sent
// twice, are refused; a parameter without a value counts as omitted
// (RFC 6749 §3.1, §3.2). The error is an *oauth.Error.
func ParseForm(w http.ResponseWriter, r *http.Request, limit int64) (url.Values, error) {
	values, err := ReadParameters(w, r, limit)
	if err != nil {
		return nil, err
	}
	if name := Repeated(values); name != "" {
		return nil, RefuseRepeated(name)
	}
	return values, nil
}

// ReadParameters reads the query of a GET or the form body of a POST, within
// the limits of size. It lets repeated parameters pass, for a door that must
// first know where the answer goes; ask Repeated then.
func ReadParameters(w http.ResponseWriter, r *http.Request, limit int64) (url.Values, error) {
	raw := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if raw != "" {
			return nil, oauth.Refuse(oauth.InvalidRequest, "Send parameters in the form body only, not in the URL.")
		}
		body, err := readBody(w, r, limit)
		if err != nil {
			return nil, err
		}
		raw = body
	}
	return parseValues(raw)
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) (string, error) {
	if !isForm(r.Header.Get("Content-Type")) {
		return "", oauth.Refuse(oauth.InvalidRequest, "The body must have the content type application/x-www-form-urlencoded.")
	}
	// Room for what is announced, within what an announcement alone may cost.
	body := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), usualBody)+bytes.MinRead))
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return "", &oauth.Error{
			Code: oauth.InvalidRequest, Status: http.StatusRequestEntityTooLarge,
			Description: "The body is larger than this endpoint accepts.",
		}
	}
	if err != nil {
		return "", oauth.Refuse(oauth.InvalidRequest, "The body could not be read to its end.")
	}
	return body.String(), nil
}

const formType = "application/x-www-form-urlencoded"

// isForm reports whether a Content-Type says that the body is a form.
func isForm(contentType string) bool {
	if contentType == formType {
		return true // nearly always
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == formType
}

// parseValues splits raw into fields. The fields are counted before they are
// decoded, so that a flood of them costs nothing.
func parseValues(raw string) (url.Values, error) {
	if strings.Count(raw, "&") >= maxFields {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The request has more than 64 parameters.")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The parameters are not valid form encoding.")
	}
	delete(values, "") // what has no name is no parameter, and Repeated could not name it
	for name, list := range values {
		longest := maxValue
		if slices.Contains(longFields, name) {
			longest = maxLongValue
		}
		for _, value := range list {
			if len(value) > longest {
				return nil, oauth.Refuse(oauth.InvalidRequest, "A parameter is longer than this server accepts.")
			}
			// NUL cannot be stored by every database, broken UTF-8 cannot be
			// shown; neither has a place in any parameter.
			if strings.ContainsRune(value, 0) || !utf8.ValidString(value) {
				return nil, oauth.Refuse(oauth.InvalidRequest, "A parameter is not valid UTF-8 text.")
			}
		}
		if len(list) == 1 && list[0] == "" {
			delete(values, name) // RFC 6749 §3.1: sent without a value is omitted
		}
	}
	return values, nil
}

// Repeated names a parameter that was sent more often than it may be, or is
// empty. Of several the first in the alphabet is named, so that the answer does
// not change from call to call.
func Repeated(values url.Values) string {
	var found string
	for name, list := range values {
		allowed := 1
		if slices.Contains(repeatable, name) {
			allowed = maxRepeats
		}
		if len(list) > allowed && (found == "" || name < found) {
			found = name
		}
	}
	return found
}

// RefuseRepeated is the error for a repeated parameter (RFC 6749 §3.1). The
// name is told only if it is plain enough to stand in an error description.
func RefuseRepeated(name string) *oauth.Error {
	if slices.Contains(repeatable, name) {
		return oauth.Refuse(oauth.InvalidRequest, "The parameter "+name+" may be sent at most five times.")
	}
	for _, c := range name {
		if c != '_' && (c < 'a' || c > 'z') {
			return oauth.Refuse(oauth.InvalidRequest, "A parameter was sent more than once.")
		}
	}
	return oauth.Refuse(oauth.InvalidRequest, "The parameter "+name+" was sent more than once.")
}
