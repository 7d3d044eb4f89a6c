// Package token is the door of everything a client asks for: the token
// endpoint, introspection, revocation, userinfo, metadata and JWKS.
//
// It owns the five phases that every grant shares (dispatch.go) and the rules
// of each grant, one file and one function each, read from top to bottom like
// the specification it cites: code.go, refresh.go, client_credentials.go,
// exchange.go. It decides what a token may be for; the words in it are put
// together by mint, the life of codes and refresh tokens is kept by grant, and
// who may call whom is read from the registry.
//
// A request is parsed once into a plain struct (request.go); nothing behind
// that sees the HTTP request. Refusals are *oauth.Error with a sentence that
// names what is missing; the errors of other rooms become such in one function
// (errors.go).
//
// It owns no table. Its state is a token bucket per client (limits.go).
package token
