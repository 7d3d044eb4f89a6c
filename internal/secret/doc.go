// Package secret makes and keeps what must not be guessed or read: random
// values, tokens and their hashes, password hashes, sealed boxes and derived
// keys.
//
// It owns the choice of algorithms and their parameters, and is the only room
// that draws random numbers. It stores nothing; each room keeps the hashes and
// boxes it asked for in its own tables.
package secret
