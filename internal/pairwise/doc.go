// Package pairwise makes the subjects by which relying parties know people, and
// is the only room that knows how they are made and turned back.
//
// A subject is one AES-256 block over a person's random handle and 32 zero bits,
// under a key of its sector, written as 26 characters of base32. So a subject
// never changes, none is stored, and turning one into that of another sector is
// pure computation. docs/ppid.md holds the design, the reasons and the vectors.
//
// It owns the key generations (table pairwise_generation: the salts, and a check
// value for each secret, which itself is kept outside the database), the keys
// of sectors, and the identifiers of sessions per sector. It does not own
// sectors (registry) or people (account); it asks account who is gone.
//
// A generation is live for ever once it was used. With one live generation,
// reading a subject needs no query; with several, or when a person may be gone,
// one query answers for a whole batch.
//
// Conversions are counted here too (budget.go), for all doors that convert. The
// counts are kept in memory, for each process by itself: a restart begins the
// day anew, and several processes give each asker as many budgets. They are there
// to make scraping slow and seen, not to count.
package pairwise
