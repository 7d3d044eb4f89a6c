// Package jose signs and verifies JSON Web Signatures and reads and writes
// JSON Web Keys, behind a fixed list of algorithms.
//
// Tokens of this server are signed and verified here with the standard
// library: a Signer writes one prepared header, and a Verifier takes a token
// only if its header segment is, byte for byte, the one that its Signer would
// have written. So alg, typ and kid are compared and never interpreted, and no
// confusion about them is possible.
//
// Tokens of others (client assertions) are verified by a JWKS, which goes
// through go-jose with the algorithms named by the caller and refuses header
// members that would bring their own key or change the rules.
//
// It keeps no keys; that is the work of keyring and registry. The meaning of
// claims is known to mint and registry.
package jose
