package token

import (
	"encoding/json"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Metadata serves the description of the server, the same bytes at the address
// of OIDC Discovery §4 and at that of RFC 8414 §3.
func (d *Door) Metadata(w http.ResponseWriter, r *http.Request) {
	d.metadata.Serve(w, r)
}

// newMetadata writes the description. It holds names registered with IANA only.
// The scopes of resources are left out: which of them a client may have stands
// in its edges, and the list would tell outsiders what the group has inside.
func newMetadata(issuer, mtls string) web.Document {
	confidential := []string{oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthPrivateKeyJWT}
	if mtls != "" {
		confidential = append(confidential, oauth.AuthTLS, oauth.AuthSelfSignedTLS)
	}
	every := append([]string{oauth.AuthNone}, confidential...)
	assertionAlgs := []string{"ES256", "PS256", "RS256", "EdDSA"}
	metadata := oauth.Metadata{
		Issuer:                                 issuer,
		AuthorizationEndpoint:                  issuer + PathAuthorization,
		TokenEndpoint:                          issuer + PathToken,
		UserinfoEndpoint:                       issuer + PathUserinfo,
		JWKSURI:                                issuer + PathJWKS,
		IntrospectionEndpoint:                  issuer + PathIntrospection,
		RevocationEndpoint:                     issuer + PathRevocation,
		PushedAuthorizationRequestEndpoint:     issuer + PathPush,
		EndSessionEndpoint:                     issuer + PathEndSession,
		RegistrationEndpoint:                   issuer + PathRegistration,
		ScopesSupported:                        identityScopes,
		ResponseTypesSupported:                 []string{"code"},
		ResponseModesSupported:                 []string{"query", "form_post", "jwt", "query.jwt", "form_post.jwt"},
		AuthorizationSigningAlgValuesSupported: []string{"RS256", "ES256"}, // JARM §3
		SubjectTypesSupported:                  []string{"pairwise"},
		IDTokenSigningAlgValuesSupported:       []string{"RS256", "ES256"},
		GrantTypesSupported: []oauth.GrantType{
			oauth.GrantAuthorizationCode, oauth.GrantRefreshToken,
			oauth.GrantClientCredentials, oauth.GrantTokenExchange,
		},
		TokenEndpointAuthMethodsSupported:          every,
		TokenEndpointAuthSigningAlgValuesSupported: assertionAlgs,
		IntrospectionEndpointAuthMethodsSupported:  confidential,
		IntrospectionEndpointAuthSigningAlgValues:  assertionAlgs,
		IntrospectionSigningAlgValuesSupported:     []string{"RS256", "ES256"}, // RFC 9701 §7
		RevocationEndpointAuthMethodsSupported:     every,
		RevocationEndpointAuthSigningAlgValues:     assertionAlgs,
		CodeChallengeMethodsSupported:              []string{"S256"},
		ClaimsSupported:                            claimsSupported(),
		ClaimTypesSupported:                        []string{"normal"},
		ClaimsParameterSupported:                   true,
		ACRValuesSupported:                         []string{"aal1", "aal2"},
		UILocalesSupported:                         []string{"en", "ja"},
		PromptValuesSupported:                      []string{"none", "login", "consent", "select_account", "create"},
		// A list without none says that unsigned request objects are not taken.
		RequestObjectSigningAlgValuesSupported:     assertionAlgs,
		RequestParameterSupported:                  true,
		RequestURIParameterSupported:               false,
		AuthorizationResponseISSParameterSupported: true,
		DPoPSigningAlgValuesSupported:              dpop.Algorithms,
		AuthorizationDetailsTypesSupported:         []string{oauth.DetailEvent}, // RFC 9396 §10
		BackChannelLogoutSupported:                 true,                        // OIDC Back-Channel Logout §2.1
		BackChannelLogoutSessionSupported:          true,
	}
	if mtls != "" { // RFC 8705 §3.3, §5
		metadata.CertificateBoundAccessTokens = true
		metadata.MTLSEndpointAliases = &oauth.EndpointAliases{
			TokenEndpoint: mtls + PathToken, UserinfoEndpoint: mtls + PathUserinfo, IntrospectionEndpoint: mtls + PathIntrospection,
			RevocationEndpoint: mtls + PathRevocation, PushedAuthorizationRequestEndpoint: mtls + PathPush,
		}
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		panic("token: metadata cannot be written as JSON: " + err.Error()) // a type error, never a value
	}
	return web.NewDocument(body)
}

// identityScopes are the scopes that a sign-in may ask of the server itself.
var identityScopes = []string{
	oauth.ScopeOpenID, oauth.ScopeProfile, oauth.ScopeEmail,
	oauth.ScopePhone, oauth.ScopeAddress, oauth.ScopeOfflineAccess,
}
