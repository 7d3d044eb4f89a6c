package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// uriKeys are the keys of a client that people or their browsers are sent to.
var uriKeys = []string{"redirect_uris", "post_logout_redirect_uris", "client_uri", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri"}

// declare parses a group with one client that has the URI under the key.
func declare(key, uri string) error {
	value := fmt.Sprintf("%q", uri)
	if strings.HasSuffix(key, "_uris") {
		value = "[" + value + "]"
	}
	redirect := "redirect_uris: [https://shop.example/cb], "
	if key == "redirect_uris" {
		redirect = ""
	}
	_, err := registry.Parse("group.yaml", []byte(`issuer: https://id.example
subsystems:
  shop:
    scenario: app
    clients:
      web: { `+redirect+key+`: `+value+` }
`), files)
	return err
}

// TestWhatNoClientMayDeclare is check R4: the same list for every URI of a
// client.
func TestWhatNoClientMayDeclare(t *testing.T) {
	t.Parallel()
	for _, key := range uriKeys {
		if err := declare(key, "https://shop.example/page"); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		for _, uri := range []string{
			"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://shop.example/x",
			"http://shop.example/page", "https://shop.example/page#fragment", "https://*.shop.example/page", "https://shop.example/*",
			"//shop.example/page", "/page", "https://", "https://user@shop.example/page", "https://shop.example\\\\@evil.test/", "com.example.shop:/page",
			"https://shop.example/../page", "HTTPS://shop.example/page", "https://SHOP.example/page", "https://shop.example:0/page", "ftp://shop.example/page",
		} {
			var faults registry.Faults
			if err := declare(key, uri); !errors.As(err, &faults) {
				t.Errorf("%s may be %q: %v", key, uri, err)
			}
		}
	}
}

// TestInitiateLoginURIIsHTTPS: a sign-in is started from outside at an https
// address, or on loopback for development (OIDC Core §4), and only at a client
// that signs people in.
func TestInitiateLoginURIIsHTTPS(t *testing.T) {
	t.Parallel()
	if err := declare("initiate_login_uri", "http://shop.example/start"); err == nil || !strings.Contains(err.Error(), "plain http") {
		t.Errorf("plain http: %v", err)
	}
	b := setup(t)
	apply(t, b.Registry, parse(t, []byte(`
issuer: https://id.example
subsystems:
  shop:
    scenario: app
    clients:
      web: { redirect_uris: [https://shop.example/cb], initiate_login_uri: https://shop.example/start }
`)))
	client, ok := b.Current().Client("shop.web")
	if !ok || client.InitiateLoginURI != "https://shop.example/start" {
		t.Errorf("client %+v", client)
	}
}
