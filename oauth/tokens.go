package oauth

import "encoding/json"

// GrantType is a grant_type parameter.
type GrantType string

// The grants this platform speaks.
const (
	GrantAuthorizationCode GrantType = "authorization_code"                              // RFC 6749 §4.1.3
	GrantRefreshToken      GrantType = "refresh_token"                                   // RFC 6749 §6
	GrantClientCredentials GrantType = "client_credentials"                              // RFC 6749 §4.4
	GrantTokenExchange     GrantType = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693 §2.1
)

// TokenType is a token type identifier (RFC 8693 §3).
type TokenType string

// The token types of RFC 8693 §3 that this platform knows.
const (
	TokenTypeAccess  TokenType = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeRefresh TokenType = "urn:ietf:params:oauth:token-type:refresh_token"
	TokenTypeID      TokenType = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeJWT     TokenType = "urn:ietf:params:oauth:token-type:jwt"
)

// AssertionJWTBearer is the client_assertion_type of private_key_jwt
// (RFC 7523 §2.2).
const AssertionJWTBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Token kinds in token_type members.
const (
	Bearer        = "Bearer" // RFC 6750
	DPoP          = "DPoP"   // RFC 9449 §5
	NotApplicable = "N_A"    // RFC 8693 §2.2.1, for tokens that are no access tokens
)

// Headers of proofs of possession (RFC 9449 §4.1, §8).
const (
	HeaderDPoP      = "DPoP"
	HeaderDPoPNonce = "Dpop-Nonce" // as net/http writes DPoP-Nonce; names of headers have no case
)

// JWT types in the typ header, so that no token can stand in for another kind.
const (
	TypAccessToken = "at+jwt" // RFC 9068 §2.1
	TypIDToken     = "JWT"    // OIDC Core §2
)

// Client authentication methods (OIDC Core §9, RFC 8414 §2).
const (
	AuthNone          = "none"
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthTLS           = "tls_client_auth"             // RFC 8705 §2.1
	AuthSelfSignedTLS = "self_signed_tls_client_auth" // RFC 8705 §2.2
)

// TokenResponse is a successful answer of the token endpoint
// (RFC 6749 §5.1, RFC 8693 §2.2.1, RFC 9396 §7).
type TokenResponse struct {
	AccessToken     string    `json:"access_token"`
	IssuedTokenType TokenType `json:"issued_token_type,omitempty"`
	TokenType       string    `json:"token_type"`
	ExpiresIn       int64     `json:"expires_in"` // seconds
	RefreshToken    string    `json:"refresh_token,omitempty"`
	Scope           Scopes    `json:"scope,omitempty"`
	IDToken         string    `json:"id_token,omitempty"`

	// AuthorizationDetails are what the access token lets its bearer do in detail
	// (RFC 9396 §7), or the credentials of events, each an EventDetail.
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
}
