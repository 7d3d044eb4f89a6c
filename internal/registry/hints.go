package registry

import (
	"fmt"
	"strconv"
	"strings"
)

// foreign are keys that people know from elsewhere, with what to write here.
var foreign = map[string]string{
	"allowed_origins":                       "write `cors_origins`",
	"application_type":                      "write `type: web`, `native`, `spa` or `backend`",
	"client_id":                             "the client_id is made of the names: subsystem.client",
	"client_secret":                         "a secret is never written here; write `secret_file:` or `secret_sha256:`",
	"confidential":                          "write `auth:` with the method",
	"consent":                               "the scenario decides: third_party is always asked for, others never",
	"contacts":                              "contacts are not kept here",
	"description":                           "write `name:`; a scope is described by its own value",
	"display_name":                          "write `name:`",
	"first_party":                           "the scenario decides: app, backend and service are, third_party never is",
	"from":                                  "calls are written under `calls:`, beside `subsystems:`",
	"grant_types":                           "the scenario decides which grants there are",
	"jwks_uri":                              "keys are not fetched; write `jwks:` or `jwks_file:`",
	"password":                              "a secret is never written here; write `secret_file:` or `secret_sha256:`",
	"public":                                "write `auth: none`",
	"redirect_uri":                          "write `redirect_uris: [...]`",
	"require_pushed_authorization_requests": "write `par: required`",
	"require_signed_request_object":         "write `jar: required`",
	"require_pkce":                          "PKCE is required unless `pkce: optional`",
	"response_types":                        "there is one response type, code",
	"scope":                                 "what a client may ask for is written under `calls:`",
	"secret":                                "a secret is never written here; write `secret_file:` or `secret_sha256:`",
	"skip_consent":                          "the scenario decides: third_party is always asked for, others never",
	"subject_type":                          "subjects are always pairwise",
	"token_endpoint_auth_method":            "write `auth:`",
	"trusted":                               "the scenario decides: app, backend and service are, third_party never is",
}

// unknownKey says what to write instead of a key that is not known here.
func unknownKey(key string, known []string) string {
	if near, ok := nearest(key, known); ok {
		return "write `" + near + ":`"
	}
	if hint, ok := foreign[key]; ok {
		return hint
	}
	return "the keys here are " + list(known, "and")
}

// didYouMean says which name was probably meant, or which there are.
func didYouMean(name string, known []string, what string) string {
	if near, ok := nearest(name, known); ok {
		return "did you mean " + near + "?"
	}
	if len(known) == 0 {
		return "there is no " + what
	}
	return what + " here: " + list(known, "and")
}

const maxListed = 12

// list joins names as in a sentence.
func list(names []string, last string) string {
	switch n := len(names); {
	case n == 0:
		return "none"
	case n == 1:
		return names[0]
	case n > maxListed:
		return strings.Join(names[:maxListed], ", ") + fmt.Sprintf(" and %d more", n-maxListed)
	default:
		return strings.Join(names[:n-1], ", ") + " " + last + " " + names[n-1]
	}
}

const maxQuoted = 80

// quote shows a value of the file in a sentence.
func quote(value string) string {
	if runes := []rune(value); len(runes) > maxQuoted {
		value = string(runes[:maxQuoted]) + "..."
	}
	return strconv.Quote(value)
}

// nearest finds the known name that a wrong one is probably meant to be: at
// most a third of it, and never more than three letters, are different.
func nearest(name string, known []string) (string, bool) {
	name = strings.ToLower(name)
	best, bestDistance := "", min(3, max(1, len(name)/3))+1
	for _, candidate := range known {
		if d := distance(strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(candidate, "-", "_")); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best, best != ""
}

// distance counts the letters to insert, delete, replace or swap with the next
// one between two names.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			replace := row[j]
			if a[i] != b[j] {
				replace++
			}
			next[j+1] = min(replace, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
