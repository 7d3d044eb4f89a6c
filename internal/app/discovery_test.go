package app_test

import (
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

// registeredMetadata are the names of the IANA registry OAuth Authorization
// Server Metadata that a server of this kind may have, and
// prompt_values_supported, which Initiating User Registration 1.0 §4.2 defines.
var registeredMetadata = strings.Fields(`
	issuer authorization_endpoint token_endpoint jwks_uri registration_endpoint scopes_supported response_types_supported
	response_modes_supported grant_types_supported token_endpoint_auth_methods_supported token_endpoint_auth_signing_alg_values_supported
	service_documentation ui_locales_supported op_policy_uri op_tos_uri revocation_endpoint revocation_endpoint_auth_methods_supported
	revocation_endpoint_auth_signing_alg_values_supported introspection_endpoint introspection_endpoint_auth_methods_supported
	introspection_endpoint_auth_signing_alg_values_supported code_challenge_methods_supported signed_metadata device_authorization_endpoint
	tls_client_certificate_bound_access_tokens mtls_endpoint_aliases userinfo_endpoint acr_values_supported subject_types_supported
	id_token_signing_alg_values_supported id_token_encryption_alg_values_supported id_token_encryption_enc_values_supported
	userinfo_signing_alg_values_supported userinfo_encryption_alg_values_supported userinfo_encryption_enc_values_supported
	request_object_signing_alg_values_supported request_object_encryption_alg_values_supported request_object_encryption_enc_values_supported
	display_values_supported claim_types_supported claims_supported claims_locales_supported claims_parameter_supported
	request_parameter_supported request_uri_parameter_supported require_request_uri_registration require_signed_request_object
	pushed_authorization_request_endpoint require_pushed_authorization_requests introspection_signing_alg_values_supported
	authorization_response_iss_parameter_supported check_session_iframe frontchannel_logout_supported frontchannel_logout_session_supported
	backchannel_logout_supported backchannel_logout_session_supported end_session_endpoint authorization_details_types_supported
	dpop_signing_alg_values_supported authorization_signing_alg_values_supported protected_resources prompt_values_supported`)

// TestDiscovery is the one module of the certification plan Config OP, and the
// first one of RP-initiated logout.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := w.browser()
	a := b.send(http.MethodGet, "/.well-known/openid-configuration", nil)
	if media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); a.status != http.StatusOK || media != "application/json" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	metadata := decode[map[string]any](t, a.body)
	if metadata["issuer"] != issuer {
		t.Errorf("issuer %v", metadata["issuer"])
	}
	for name, value := range metadata {
		if !slices.Contains(registeredMetadata, name) {
			t.Errorf("nobody knows the name %s", name)
		}
		if list, ok := value.([]any); ok && len(list) == 0 {
			t.Errorf("%s is empty", name)
		}
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		text, _ := value.(string)
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host != issuerURL(t).Host || u.Fragment != "" {
			t.Errorf("%s is %v", name, value)
		}
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint", "claims_supported"} {
		if metadata[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	for name, members := range map[string][]string{
		"response_types_supported":                    {"code"},
		"response_modes_supported":                    {"query", "form_post"},
		"grant_types_supported":                       {"authorization_code", "refresh_token"},
		"subject_types_supported":                     {"pairwise"},
		"scopes_supported":                            {"openid", "profile", "email", "address", "phone", "offline_access"},
		"id_token_signing_alg_values_supported":       {"RS256"},
		"request_object_signing_alg_values_supported": {"RS256"},
		"code_challenge_methods_supported":            {"S256"},
		"token_endpoint_auth_methods_supported":       {"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"prompt_values_supported":                     {"none", "login", "consent", "select_account", "create"},
	} {
		for _, member := range members {
			if !slices.Contains(texts(metadata[name]), member) {
				t.Errorf("%s lacks %s: %v", name, member, metadata[name])
			}
		}
	}
	scopeToken := regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)
	for _, scope := range texts(metadata["scopes_supported"]) {
		if !scopeToken.MatchString(scope) {
			t.Errorf("scope %q", scope)
		}
	}
	for _, locale := range texts(metadata["ui_locales_supported"]) {
		if tag, err := language.Parse(locale); err != nil || tag.String() != locale {
			t.Errorf("locale %q is not written as BCP 47 has it", locale)
		}
	}
	if metadata["authorization_response_iss_parameter_supported"] != true || metadata["claims_parameter_supported"] != true ||
		metadata["request_parameter_supported"] != true || metadata["request_uri_parameter_supported"] != false {
		t.Errorf("metadata %v", metadata)
	}
	if other := b.send(http.MethodGet, "/.well-known/oauth-authorization-server", nil); other.body != a.body {
		t.Error("RFC 8414 gives another document")
	}
}

// An ID token is never unsigned, and neither is a request object: none is in no
// list, so the modules that would try it are skipped, and no implicit flow is
// offered.
func TestMetadataOffersNothingUnsignedAndNothingImplicit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, value := range decode[map[string]any](t, w.browser().get("/.well-known/openid-configuration").body) {
		list := texts(value)
		switch {
		case strings.Contains(name, "_alg_values_supported") && slices.Contains(list, "none"):
			t.Errorf("%s lists none", name)
		case name == "grant_types_supported" && (slices.Contains(list, "implicit") || slices.Contains(list, "password")),
			name == "code_challenge_methods_supported" && slices.Contains(list, "plain"),
			name == "response_types_supported" && !slices.Equal(list, []string{"code"}):
			t.Errorf("%s lists %v", name, list)
		}
	}
}

// texts are the members of a list of texts.
func texts(list any) []string {
	members, _ := list.([]any)
	all := make([]string, 0, len(members))
	for _, member := range members {
		if text, ok := member.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

func TestJWKSIsPublicAndItsKeysHaveDistinctNames(t *testing.T) {
	t.Parallel()
	w := setup(t)
	a := w.browser().send(http.MethodGet, "/oauth2/jwks", nil)
	keys := decode[struct {
		Keys []map[string]any `json:"keys"`
	}](t, a.body).Keys
	names, kinds := map[any]bool{}, map[any]bool{}
	for _, key := range keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
			if _, has := key[private]; has {
				t.Errorf("key %v has the member %s", key["kid"], private)
			}
		}
		if key["kid"] == nil || names[key["kid"]] || key["use"] != "sig" || key["alg"] == nil {
			t.Errorf("key %v", key)
		}
		names[key["kid"]], kinds[key["kty"]] = true, true
	}
	if !kinds["RSA"] || !kinds["EC"] {
		t.Errorf("keys of the kinds %v, want RSA and EC", kinds)
	}
}
