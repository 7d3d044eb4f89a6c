package demo

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// groupYAML is the group file as one reads it, at its usual addresses.
//
//go:embed group.yaml
var groupYAML string

// The clients of the example.
const (
	clientWeb     = "market-app.web"
	clientPhone   = "market-app.phone"
	clientMarket  = "market.backend"
	clientPay     = "pay.backend"
	clientNightly = "pay.nightly"
	clientCrypto  = "crypto.backend"
	clientPartner = "partner.web"
)

// writeGroupFile puts the group file, with the addresses really taken, beside
// the secrets it names.
func writeGroupFile(dir string, urls map[string]string) (path string, err error) {
	usual := []string{partyServer, partyPage, partyApp, partyMarket, partyPay, partyCrypto, partyPartner}
	var pairs []string
	for offset, party := range usual {
		pairs = append(pairs, fmt.Sprintf("http://localhost:%d", FirstPort+offset), urls[party])
	}
	path = filepath.Join(dir, "group.yaml")
	text := strings.NewReplacer(pairs...).Replace(groupYAML)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write the group file: %w", err)
	}
	return path, nil
}
