package registry_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/internal/registry"
)

func TestParseExample(t *testing.T) {
	t.Parallel()
	document, err := json.MarshalIndent(example(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "group.golden.json", string(document)+"\n")
}

func TestDocumentReadsBack(t *testing.T) {
	t.Parallel()
	group := example(t)
	document, err := json.Marshal(group)
	if err != nil {
		t.Fatal(err)
	}
	back := new(registry.Group)
	if err := json.Unmarshal(document, back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(group, back); diff != "" {
		t.Errorf("group differs after the database (-file +database):\n%s", diff)
	}
	if err := back.Check(); err != nil {
		t.Errorf("checked again: %v", err)
	}
	if diff := cmp.Diff(group, back); diff != "" {
		t.Errorf("checking twice changes the group:\n%s", diff)
	}
}

// TestColons holds that a colon in a value needs no quotes, wherever it stands.
func TestColons(t *testing.T) {
	t.Parallel()
	const port = "http://127.0.0.1:8080/cb"
	group := parse(t, []byte(`issuer: http://127.0.0.1:8080
subsystems:
  api: {scenario: service, resource: {audience: urn:api:v1, scopes: {"items:read": See items, "items:write": "Sell: items"}}}
  app:
    scenario: app
    clients:
      block:
        redirect_uris:
          - http://127.0.0.1:8080/cb
      list:
        redirect_uris: [http://127.0.0.1:8080/cb]
      map: { redirect_uris: [http://127.0.0.1:8080/cb, http://127.0.0.1:8080/cb:2], client_uri: http://127.0.0.1:8080/cb }
      tight: {redirect_uris: [http://127.0.0.1:8080/cb],"client_uri":"http://127.0.0.1:8080/cb"}
      quoted: { redirect_uris: ["http://127.0.0.1:8080/cb"] }
calls:
  - { from: app, to: api, user: [items:read, { scope: items:write }] }
`))
	for name, client := range group.Subsystems["app"].Clients {
		if client.RedirectURIs[0] != port {
			t.Errorf("%s: redirect_uris = %q", name, client.RedirectURIs)
		}
		if name == "map" || name == "tight" {
			if client.ClientURI != port {
				t.Errorf("%s: client_uri = %q", name, client.ClientURI)
			}
		}
	}
	if uris := group.Subsystems["app"].Clients["map"].RedirectURIs; len(uris) != 2 || uris[1] != port+":2" {
		t.Errorf("map: redirect_uris = %q", uris)
	}
	if scopes := group.Subsystems["api"].Resource.Scopes; scopes["items:read"].En != "See items" || scopes["items:write"].En != "Sell: items" {
		t.Errorf("scopes = %v", scopes)
	}
	if user := group.Calls[0].User; user[0].Scope != "items:read" || user[1].Scope != "items:write" {
		t.Errorf("user = %v", user)
	}
}
