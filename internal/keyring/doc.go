// Package keyring keeps the keys of this server and their lives.
//
// It owns the tables signing_key and data_key. Private keys are sealed there
// under the key-encryption key, which comes from outside the database, and are
// open only in memory. It signs and verifies bytes; what they claim is the
// work of mint.
//
// Each purpose has keys of its own, so that a token of one purpose never
// verifies as one of another; logout tokens alone share those of ID tokens, as
// their specification wants, and are told from them by typ. A signing key lives through three states, all
// published in the key set:
//
//	next ----planned time----> current ----next one takes over----> retired ----> (removed)
//
// A next key is published for a day before it signs, so that everybody who
// caches the key set has seen it. A retired key is kept for a day after the last
// token it signed has expired. At most one key of a purpose is next and one is
// current; the database holds that, so several processes may maintain one
// keyring. In an emergency all keys are replaced at once and the old ones are
// gone.
package keyring
