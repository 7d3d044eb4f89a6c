// Package cache is a bounded map whose entries expire: the least recently used
// one makes room for a new one. It holds what the SDK may remember of the
// authorization server's answers; how long is the caller's to say.
package cache
