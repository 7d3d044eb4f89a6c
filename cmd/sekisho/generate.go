package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// generateCommand makes secrets. They go to standard output and nowhere else.
type generateCommand struct {
	PPIDSecret       generateKey          `cmd:"" name:"ppid-secret" help:"32 bytes for SEKISHO_PPID_SECRET_FILE. Keep it for ever: people's ids depend on it."`
	KeyEncryptionKey generateKey          `cmd:"" name:"key-encryption-key" help:"32 bytes for SEKISHO_KEY_ENCRYPTION_KEY_FILE."`
	ClientSecret     generateClientSecret `cmd:"" name:"client-secret" help:"A client secret, and the hash of it for the group file."`
}

type generateKey struct{}

func (generateKey) Run(term terminal) error {
	_, err := fmt.Fprintln(term.out, hex.EncodeToString(secret.Bytes(sha256.Size)))
	return err
}

type generateClientSecret struct{}

func (generateClientSecret) Run(term terminal) error {
	made := secret.Token("sek_cs_")
	_, err := fmt.Fprintf(term.out, "secret (give it to the client, once): %s\nsecret_sha256 (write it into the group file): %s\n",
		made, hex.EncodeToString(secret.Hash(made)))
	return err
}
