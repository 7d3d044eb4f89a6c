package oauth

import "net/http"

// Code is an error code of a registered OAuth or OpenID Connect error.
type Code string

// Error codes, with the section that defines each.
const (
	InvalidRequest          Code = "invalid_request"           // RFC 6749 §4.1.2.1, §5.2
	InvalidClient           Code = "invalid_client"            // RFC 6749 §5.2
	InvalidGrant            Code = "invalid_grant"             // RFC 6749 §5.2
	UnauthorizedClient      Code = "unauthorized_client"       // RFC 6749 §4.1.2.1, §5.2
	UnsupportedGrantType    Code = "unsupported_grant_type"    // RFC 6749 §5.2
	UnsupportedResponseType Code = "unsupported_response_type" // RFC 6749 §4.1.2.1
	UnsupportedTokenType    Code = "unsupported_token_type"    // RFC 7009 §2.2.1
	InvalidScope            Code = "invalid_scope"             // RFC 6749 §4.1.2.1, §5.2
	InvalidTarget           Code = "invalid_target"            // RFC 8707 §2, RFC 8693 §2.2.2
	AccessDenied            Code = "access_denied"             // RFC 6749 §4.1.2.1
	ServerError             Code = "server_error"              // RFC 6749 §4.1.2.1
	TemporarilyUnavailable  Code = "temporarily_unavailable"   // RFC 6749 §4.1.2.1
	InvalidToken            Code = "invalid_token"             // RFC 6750 §3.1
	InsufficientScope       Code = "insufficient_scope"        // RFC 6750 §3.1

	InsufficientUserAuthentication Code = "insufficient_user_authentication" // RFC 9470 §3

	InvalidDPoPProof Code = "invalid_dpop_proof" // RFC 9449 §5
	UseDPoPNonce     Code = "use_dpop_nonce"     // RFC 9449 §8

	InvalidAuthorizationDetails Code = "invalid_authorization_details" // RFC 9396 §5

	LoginRequired            Code = "login_required"                    // OIDC Core §3.1.2.6
	InteractionRequired      Code = "interaction_required"              // OIDC Core §3.1.2.6
	ConsentRequired          Code = "consent_required"                  // OIDC Core §3.1.2.6
	RequestNotSupported      Code = "request_not_supported"             // OIDC Core §3.1.2.6
	InvalidRequestObject     Code = "invalid_request_object"            // OIDC Core §3.1.2.6, RFC 9101 §6
	InvalidRequestURI        Code = "invalid_request_uri"               // OIDC Core §3.1.2.6, RFC 9101 §6.2
	RequestURINotSupported   Code = "request_uri_not_supported"         // OIDC Core §3.1.2.6
	RegistrationNotSupported Code = "registration_not_supported"        // OIDC Core §3.1.2.6
	UnmetAuthentication      Code = "unmet_authentication_requirements" // OIDC Unmet Authentication Requirements 1.0
	InvalidRedirectURI       Code = "invalid_redirect_uri"              // RFC 7591 §3.2.2
	InvalidClientMetadata    Code = "invalid_client_metadata"           // RFC 7591 §3.2.2
)

// Error is a refusal as a client sees it. Description is plain ASCII without
// quotes or backslashes (RFC 6749 §5.2), one sentence that says why.
type Error struct {
	Code        Code   `json:"error"`
	Description string `json:"error_description,omitempty"`
	Status      int    `json:"-"` // HTTP status; zero means StatusOf(Code)
}

// Refuse makes an Error with the status its code usually has.
func Refuse(code Code, description string) *Error {
	return &Error{Code: code, Description: description}
}

func (e *Error) Error() string {
	if e.Description == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Description
}

// HTTPStatus is the status to answer with: the explicit one, else the one that
// the code's own specification names.
func (e *Error) HTTPStatus() int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Code {
	case InvalidClient, InvalidToken, InsufficientUserAuthentication:
		return http.StatusUnauthorized
	case InsufficientScope, AccessDenied:
		return http.StatusForbidden
	case ServerError:
		return http.StatusInternalServerError
	case TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}
