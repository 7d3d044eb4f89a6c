// Package oauth holds the words of OAuth 2.0 and OpenID Connect as this
// platform speaks them: error codes, grant types, token types, scopes, claims,
// requests and responses. It has values only, no behaviour beyond reading and
// writing them, and imports nothing but the standard library. The server and
// the SDK share it, so that a word is spelled in one place.
package oauth
