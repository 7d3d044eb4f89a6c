// Package upstream signs people in at OpenID providers of others: it sends them there,
// and finds out who came back (OpenID Connect Core, authorization code flow with PKCE).
//
// It owns the way there and back, what is known of each provider (its metadata and keys,
// kept for an hour and read anew when they fail), and the secrets this server has with
// them, which are read from files and stand in no table. It does not know people: what a
// provider says of somebody is an account.Identity, and whose it is says package account.
//
// Nothing is stored while a person is away. The state that travels with them is bound to
// their browser and to the page they came from, and the nonce and the PKCE verifier are
// made of it under a key of this installation, so that an answer is of use in the one
// browser that asked, for ten minutes; that its code is used once is the provider's part.
package upstream
