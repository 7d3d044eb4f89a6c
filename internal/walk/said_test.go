package walk_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// issued compares a token answer with the token that the model has made, and
// keeps it.
func (w *walk) issued(what, want string, token *access, got reply) *told {
	if token == nil || got.text("access_token") == "" {
		return &told{what, want, got.verdict}
	}
	w.tokens = append(w.tokens, token)
	w.bearer[token] = got.text("access_token")
	want += fmt.Sprintf(" for %.0fs", token.expires.Sub(w.model.now).Seconds()) + w.expected(token, got.text("id_token") != "")
	verdict := got.verdict + fmt.Sprintf(" for %vs", got.body["expires_in"]) + " scope=" + sorted(got.text("scope"))
	verdict += claimsOf(w.bearer[token]).words(w, token)
	if id := got.text("id_token"); id != "" {
		w.hints = append(w.hints, hint{id, token.grant, w.model.now})
		verdict += " id" + claimsOf(id).person(w, token)
	}
	return &told{what, want, verdict}
}

// expected is what the answer should say of a token, and where it can be read,
// the token itself.
func (w *walk) expected(t *access, id bool) string {
	text := " scope=" + sorted(strings.Join(t.scopes, " "))
	if !slices.Contains(t.audience, pay) { // whose tokens are opaque
		text += fmt.Sprintf(" aud=%s act=%s", sorted(strings.Join(t.audience, " ")), strings.Join(t.chain, " "))
		text += w.whose(t)
	}
	if id {
		text += " id" + w.whose(t)
	}
	return text
}

func (w *walk) whose(t *access) string {
	if t.grant == nil {
		return " sub=" + t.client
	}
	return " sub=" + t.grant.who.email
}

// claims are what a JWT or an introspection says.
type claims struct {
	Active   bool            `json:"active"`
	Subject  string          `json:"sub"`
	Own      string          `json:"resource_sub"`
	Audience json.RawMessage `json:"aud"`
	Client   string          `json:"client_id"`
	Actor    *struct {
		Subject string `json:"sub"`
		Actor   any    `json:"act"`
	} `json:"act"`
}

func claimsOf(token string) *claims {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	c := &claims{}
	if err != nil || json.Unmarshal(payload, c) != nil {
		return nil
	}
	return c
}

// words says what the token says; nothing if it is opaque.
func (c *claims) words(w *walk, t *access) string {
	if c == nil {
		return ""
	}
	var audience []string
	if json.Unmarshal(c.Audience, &audience) != nil {
		audience = []string{strings.Trim(string(c.Audience), `"`)}
	}
	return fmt.Sprintf(" aud=%s act=%s", sorted(strings.Join(audience, " ")), c.chain()) + c.person(w, t)
}

// chain lists the clients of an act claim, the first one first; without one, it
// is the client of the token.
func (c *claims) chain() string {
	if c.Actor == nil {
		return c.Client
	}
	names := []string{c.Actor.Subject}
	for inner, ok := c.Actor.Actor.(map[string]any); ok; inner, ok = inner["act"].(map[string]any) {
		names = append(names, fmt.Sprint(inner["sub"]))
	}
	slices.Reverse(names)
	return strings.Join(names, " ")
}

// person says whose subject it is. The first time that a sector sees a person
// it learns the subject; from then on it is that person's alone, for ever.
func (c *claims) person(w *walk, t *access) string {
	if t.grant == nil {
		return " sub=" + c.Subject
	}
	return w.subject(clients[t.client].subsystem, c.Subject, t.grant.who)
}

func (w *walk) subject(sector, subject string, who *person) string {
	known, ok := who.subjectsBySector[sector]
	if !ok {
		who.subjectsBySector[sector], known = subject, subject
	}
	owner, ok := w.seen[sector+" "+subject]
	if !ok {
		w.seen[sector+" "+subject], owner = who, who
	}
	if known != subject {
		return " sub=another than before"
	}
	return " sub=" + owner.email
}

func sorted(words string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(words))), "+")
}
