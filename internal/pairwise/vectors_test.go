package pairwise_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// hexBytes are bytes that stand in JSON as hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type vectors struct {
	Secret  hexBytes
	Salt    hexBytes
	Realm   string
	Handle  hexBytes
	PRK     hexBytes
	Check   hexBytes
	Sectors []struct {
		ID  string
		Key hexBytes
		Sub string
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// These values are in the databases of relying parties. If this test fails, the
// change it complains about would give every person another identifier.
func TestVectors(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	g, err := pairwise.NewGeneration(v.Secret, v.Salt)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g.PRK(), v.PRK) {
		t.Errorf("PRK is %x", g.PRK())
	}
	if !bytes.Equal(g.CheckValue(), v.Check) {
		t.Errorf("check value is %x", g.CheckValue())
	}
	for _, s := range v.Sectors {
		if key, err := g.SubjectKey(v.Realm, s.ID); err != nil || !bytes.Equal(key, s.Key) {
			t.Errorf("key of %s is %x, %v", s.ID, key, err)
		}
	}
}

func TestVectorsThroughTheDatabase(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	database := openDB(t)
	update(t, database, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO pairwise_generation (gen, salt, check_value, created_at) VALUES (1, $1, $2, 0)",
			[]byte(v.Salt), []byte(v.Check))
		return err
	})
	p, err := pairwise.Open(t.Context(), pairwise.Config{
		DB: database, Realm: v.Realm, Secrets: [][]byte{v.Secret}, People: openPeople(t, database, 1), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	who := account.Ref{Handle: account.Handle(v.Handle), Gen: 1}
	for _, s := range v.Sectors {
		sector := registry.Sector{ID: s.ID, Gen: 1}
		if sub := p.Subject(sector, who); sub != s.Sub {
			t.Errorf("%s: %s", s.ID, sub)
		}
		if got := resolve(t, p, sector, s.Sub); got[0] != who {
			t.Errorf("%s: %s is nobody", s.ID, s.Sub)
		}
	}
}
