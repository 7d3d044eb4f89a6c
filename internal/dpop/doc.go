// Package dpop makes and checks proofs of possession (RFC 9449): who sends an access
// token signs, with the key that the token is bound to, which request it is for.
//
// It owns the form of a proof and what can be told from the proof alone. Whether
// a proof was used before, and whether its nonce is one of ours, is for whoever
// checks it: the server and the resource servers each know their own.
package dpop
