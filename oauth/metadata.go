package oauth

// Metadata is the authorization server's description of itself
// (RFC 8414 §2, OIDC Discovery §3).
type Metadata struct {
	Issuer                                     string      `json:"issuer"`
	AuthorizationEndpoint                      string      `json:"authorization_endpoint"`
	TokenEndpoint                              string      `json:"token_endpoint"`
	UserinfoEndpoint                           string      `json:"userinfo_endpoint,omitempty"`
	JWKSURI                                    string      `json:"jwks_uri"`
	IntrospectionEndpoint                      string      `json:"introspection_endpoint,omitempty"`
	RegistrationEndpoint                       string      `json:"registration_endpoint,omitempty"`
	RevocationEndpoint                         string      `json:"revocation_endpoint,omitempty"`
	PushedAuthorizationRequestEndpoint         string      `json:"pushed_authorization_request_endpoint,omitempty"` // RFC 9126 §5
	EndSessionEndpoint                         string      `json:"end_session_endpoint,omitempty"`
	ScopesSupported                            []string    `json:"scopes_supported"`
	ResponseTypesSupported                     []string    `json:"response_types_supported"`
	ResponseModesSupported                     []string    `json:"response_modes_supported"`
	GrantTypesSupported                        []GrantType `json:"grant_types_supported"`
	SubjectTypesSupported                      []string    `json:"subject_types_supported"`
	IDTokenSigningAlgValuesSupported           []string    `json:"id_token_signing_alg_values_supported"`
	TokenEndpointAuthMethodsSupported          []string    `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthSigningAlgValuesSupported []string    `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionEndpointAuthMethodsSupported  []string    `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointAuthSigningAlgValues  []string    `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionSigningAlgValuesSupported     []string    `json:"introspection_signing_alg_values_supported,omitempty"` // RFC 9701 §7
	RevocationEndpointAuthMethodsSupported     []string    `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthSigningAlgValues     []string    `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	CodeChallengeMethodsSupported              []string    `json:"code_challenge_methods_supported"`
	ClaimsSupported                            []string    `json:"claims_supported"`
	ClaimTypesSupported                        []string    `json:"claim_types_supported,omitempty"`
	ACRValuesSupported                         []string    `json:"acr_values_supported,omitempty"`
	UILocalesSupported                         []string    `json:"ui_locales_supported,omitempty"`
	PromptValuesSupported                      []string    `json:"prompt_values_supported,omitempty"`
	RequestObjectSigningAlgValuesSupported     []string    `json:"request_object_signing_alg_values_supported,omitempty"`
	AuthorizationSigningAlgValuesSupported     []string    `json:"authorization_signing_alg_values_supported,omitempty"` // JARM §3
	ClaimsParameterSupported                   bool        `json:"claims_parameter_supported"`
	RequestParameterSupported                  bool        `json:"request_parameter_supported"`
	RequestURIParameterSupported               bool        `json:"request_uri_parameter_supported"` // true where absent (OIDC Discovery §3), so always written
	AuthorizationResponseISSParameterSupported bool        `json:"authorization_response_iss_parameter_supported"`
	DPoPSigningAlgValuesSupported              []string    `json:"dpop_signing_alg_values_supported,omitempty"` // RFC 9449 §5.1
	AuthorizationDetailsTypesSupported         []string    `json:"authorization_details_types_supported,omitempty"`
	BackChannelLogoutSupported                 bool        `json:"backchannel_logout_supported,omitempty"`
	BackChannelLogoutSessionSupported          bool        `json:"backchannel_logout_session_supported,omitempty"`
	CertificateBoundAccessTokens               bool        `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705 §3.3
	ServiceDocumentation                       string      `json:"service_documentation,omitempty"`

	MTLSEndpointAliases *EndpointAliases `json:"mtls_endpoint_aliases,omitempty"`
}

// EndpointAliases are where a client that presents a certificate finds endpoints
// (RFC 8705 §5).
type EndpointAliases struct {
	TokenEndpoint                      string `json:"token_endpoint,omitempty"`
	UserinfoEndpoint                   string `json:"userinfo_endpoint,omitempty"`
	IntrospectionEndpoint              string `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint                 string `json:"revocation_endpoint,omitempty"`
	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint,omitempty"`
}
