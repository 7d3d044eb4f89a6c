package secret_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// cheap keeps tests fast; the defaults have a test of their own.
func cheap() secret.HasherConfig {
	return secret.HasherConfig{Memory: 64, Time: 1}
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	h := secret.NewHasher(cheap())
	phc, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Hash(t.Context(), "correct horse")
	if err != nil || again == phc {
		t.Errorf("two hashes of one password are equal, %v", err)
	}
	for password, want := range map[string]bool{"correct horse": true, "correct hors": false, "": false, "Correct horse": false} {
		ok, rehash, err := h.Verify(t.Context(), phc, password)
		if err != nil || ok != want || rehash {
			t.Errorf("%q: %v %v %v", password, ok, rehash, err)
		}
	}
}

func TestDefaultCost(t *testing.T) {
	t.Parallel()
	phc, err := secret.NewHasher(secret.HasherConfig{}).Hash(t.Context(), "x")
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%s, %v", phc, err)
	}
}

func TestRehash(t *testing.T) {
	t.Parallel()
	old, err := secret.NewHasher(cheap()).Hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	imported, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h := secret.NewHasher(secret.HasherConfig{Memory: 128, Time: 1})
	for name, phc := range map[string]string{"cheaper": old, "bcrypt": string(imported)} {
		if ok, rehash, err := h.Verify(t.Context(), phc, "secret"); !ok || !rehash || err != nil {
			t.Errorf("%s, right password: %v %v %v", name, ok, rehash, err)
		}
		if ok, rehash, err := h.Verify(t.Context(), phc, "wrong"); ok || rehash || err != nil {
			t.Errorf("%s, wrong password: %v %v %v", name, ok, rehash, err)
		}
	}
}

func TestNoAccountFailsAfterTheSameWork(t *testing.T) {
	t.Parallel()
	if ok, rehash, err := secret.NewHasher(cheap()).Verify(t.Context(), "", ""); ok || rehash || err != nil {
		t.Errorf("%v %v %v", ok, rehash, err)
	}
}

func TestBrokenHashes(t *testing.T) {
	t.Parallel()
	const salt, hash = "c2FsdHNhbHRzYWx0", "aGFzaGhhc2hoYXNoaGFzaGhhc2g"
	h := secret.NewHasher(cheap())
	for name, phc := range map[string]string{
		"plain text":   "secret",
		"version":      "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + hash,
		"cost":         "$argon2id$v=19$m=64$" + salt + "$" + hash,
		"no time":      "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + hash,
		"no threads":   "$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + hash,
		"huge memory":  "$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + hash,
		"huge time":    "$argon2id$v=19$m=64,t=100000,p=1$" + salt + "$" + hash,
		"empty hash":   "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$",
		"short salt":   "$argon2id$v=19$m=64,t=1,p=1$YQ$" + hash,
		"not base64":   "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$!!!!",
		"huge bcrypt":  "$2a$31$" + strings.Repeat("a", 53),
		"short bcrypt": "$2a$10$abc",
	} {
		if ok, _, err := h.Verify(t.Context(), phc, "secret"); ok || !errors.Is(err, secret.ErrHash) {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
}

// While one slot is always taken, who may not wait is told to come back.
func TestBusy(t *testing.T) {
	t.Parallel()
	h := secret.NewHasher(secret.HasherConfig{Memory: 8 << 10, Time: 1, AtOnce: 1, Queue: 2, Wait: time.Nanosecond})
	var stop atomic.Bool
	var group sync.WaitGroup
	defer group.Wait()
	defer stop.Store(true)
	group.Go(func() {
		for !stop.Load() {
			_, _ = h.Hash(context.Background(), "x")
		}
	})
	for {
		_, err := h.Hash(t.Context(), "y")
		if errors.Is(err, secret.ErrBusy) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Other work counts among the bounded number, and its error is given back.
func TestOtherWork(t *testing.T) {
	t.Parallel()
	h := secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1, AtOnce: 1})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := h.Do(t.Context(), func() error {
		if _, err := h.Hash(ended, "y"); !errors.Is(err, context.Canceled) {
			t.Errorf("a hash beside it: %v", err)
		}
		return secret.ErrHash
	})
	if !errors.Is(err, secret.ErrHash) {
		t.Error(err)
	}
	if _, err := h.Hash(t.Context(), "y"); err != nil {
		t.Errorf("a hash after it: %v", err)
	}
}

func TestWaitingEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	h := secret.NewHasher(secret.HasherConfig{Memory: 8 << 10, Time: 1, AtOnce: 1, Wait: time.Hour})
	var stop atomic.Bool
	var group sync.WaitGroup
	defer group.Wait()
	defer stop.Store(true)
	group.Go(func() {
		for !stop.Load() {
			_, _ = h.Hash(context.Background(), "x")
		}
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		_, err := h.Hash(ended, "y")
		if errors.Is(err, context.Canceled) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
