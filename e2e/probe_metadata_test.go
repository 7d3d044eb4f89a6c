package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// compareMetadata compares what two servers say of themselves, member by
// member, and the members of their keys.
func compareMetadata(ours, theirs *party) map[string]difference {
	found := map[string]difference{}
	told := [2]map[string]string{ours.metadata(), theirs.metadata()}
	for i := range told {
		for member := range told[i] {
			found[member] = difference{told[0][member], told[1][member]}
		}
	}
	for member, d := range found {
		found[member] = difference{orAbsent(d.ours), orAbsent(d.theirs)}
	}
	return found
}

func orAbsent(value string) string {
	if value == "" {
		return "absent"
	}
	return value
}

// metadata are the members of the metadata as text, lists in order; issuer
// stands for the server's own.
func (p *party) metadata() map[string]string {
	p.t.Helper()
	members := map[string]any{}
	p.load("/.well-known/openid-configuration", &members)
	texts := map[string]string{}
	for name, value := range members {
		texts[name] = p.text(value)
	}
	var keys struct {
		Keys []map[string]any `json:"keys"`
	}
	p.load("/oauth2/jwks", &keys)
	for _, key := range keys.Keys {
		kind, ok := key["kty"].(string)
		if !ok {
			p.t.Errorf("%s: a key without kty", p.issuer)
		}
		texts["members of a key of type "+kind] = memberNames(key)
	}
	return texts
}

// text writes a value so that it can be compared.
func (p *party) text(value any) string {
	if list, ok := value.([]any); ok {
		var texts []string
		for _, one := range list {
			texts = append(texts, p.text(one))
		}
		slices.Sort(texts)
		return strings.Join(texts, " ")
	}
	if text, ok := value.(string); ok {
		return strings.Replace(text, p.issuer, "issuer", 1)
	}
	body, err := json.Marshal(value)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// load reads a public document.
func (p *party) load(path string, into any) {
	p.t.Helper()
	response, err := p.stranger.client.Do(p.get(p.at(path, nil)))
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatalf("%s%s: %d %v", p.issuer, path, response.StatusCode, err)
	}
}

// claimProbes compare the claims of tokens.
var claimProbes = []probe{
	{"ID token: header", func(p *party) string { return memberNames(p.decoded(p.tokens().ID, 0)) }},
	{"ID token: claims", func(p *party) string { return memberNames(p.decoded(p.tokens().ID, 1)) }},
	{"ID token: claims of a request with max_age", func(p *party) string {
		return memberNames(p.decoded(p.tokens("max_age=10000").ID, 1))
	}},
	{"access token: header", func(p *party) string { return memberNames(p.decoded(p.charging(), 0)) }},
	{"access token: typ", func(p *party) string { return p.text(p.decoded(p.charging(), 0)["typ"]) }},
	{"access token: claims", func(p *party) string { return memberNames(p.decoded(p.charging(), 1)) }},
	{"access token: claims in service context", func(p *party) string {
		return memberNames(p.decoded(p.take(p.as(asMarket, "/oauth2/token", maps.Clone(machine))).Access, 1))
	}},
	{"access token: form of one without resource", func(p *party) string {
		if strings.Count(p.identity(), ".") == 2 {
			return "JWT"
		}
		return "opaque"
	}},
}

// charging is an access token for the API that takes JWTs at both.
func (p *party) charging() string {
	p.t.Helper()
	to := "resource=" + payAPI
	return p.take(p.as(asWeb, "/oauth2/token", redemption(p, p.code("scope=openid charge", to), to))).Access
}

// decoded is part of a JWT: its header is part 0, its claims are part 1.
func (p *party) decoded(token string, part int) map[string]any {
	p.t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		p.t.Fatalf("%s: no JWT: %s", p.issuer, token)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		p.t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		p.t.Fatal(err)
	}
	return members
}
