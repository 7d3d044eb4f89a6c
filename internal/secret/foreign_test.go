package secret_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// foreignHashes are of the password "correct horse", made by the software named: passlib
// 1.7.4, Django 5, Werkzeug 3, and the reference programs.
var foreignHashes = map[string]string{
	"passlib pbkdf2-sha256": `$pbkdf2-sha256$1000$KYUQopSSklIKwTiH0BojBA$QVzBzNR6W8tmhA2Ktsdt7NB.IGVuk2sSnUI1.xS/sYE`,
	"passlib pbkdf2-sha512": `$pbkdf2-sha512$1000$n7P2/v./9x6jFKKU8p5zzg$x27Wi4tuoE4GIu7f/dpdhUSHQdrpZAqXjFjwodNL8cBInEX3FlyDRbSrIMs83HNzlF2zW6dGSgoN16FrbiKEIQ`,
	"passlib pbkdf2-sha1":   `$pbkdf2$1000$ESLEuBfC2JsTgpCytvZeCw$DP3x0dh1aPPcgi41j29pHjZR6JY`,
	"passlib scrypt":        `$scrypt$ln=8,r=8,p=1$f28N4dwbQ4iREiJkDGFMSQ$7Z2+TOy+FZD+vPiW4BRjkDB74ZkR0DOuZTvaofdO+KM`,
	"bcrypt 2b":             `$2b$04$5UJuCch5A00s5x5RgUb17uyMx53Pqn3qKZgXa.x0/wM7U/xGUpRc2`,
	"bcrypt 2a":             `$2a$04$RHqf9xCOGQH1OakoJXngmu5/r4cloH1yyU4DNv13xgyPAsyXYAjku`,
	"argon2id":              `$argon2id$v=19$m=64,t=1,p=2$3OUlXdlltW0mF6jMGp5tnw$oMqyOsDQJVPqsv2/Js7B/ZNh5ne9VHxX/HJNI08soDQ`,
	"argon2i":               `$argon2i$v=19$m=64,t=1,p=1$rUygpZRgQGgyK9kZdZUL4g$pGcNT4VEJkqrQMV7UKLi2uKU2yLi6CIqJyxBsttXD/M`,
	"Django pbkdf2_sha256":  `pbkdf2_sha256$1000$saltsaltsaltsaltsaltsa$rrFqfY54t+CcYpzPEaBDNhjkhYBmcvjLfi7UsJc1TIs=`,
	"Django pbkdf2_sha1":    `pbkdf2_sha1$1000$saltsaltsaltsaltsaltsa$JS2jnGEnl++CrIPqE0apX7MKRfs=`,
	"Django scrypt":         `scrypt$256$saltsaltsaltsaltsaltsa$8$5$2ouOV232fVPQ0as5usNL6ZVgAu7tnQjUuaDBxGwqVZm1O+XQXotrkDqugIDLBt56Jh4ti4+qDnMY91B8TQFV8Q==`,
	"Werkzeug scrypt":       `scrypt:256:8:1$qBgwCwzOE718pqlE$825b7ca59b0fd08544ea0ef7c2c3c23834f7c4f80ec717fbc9195ee79e4772ef0584c202a153b42e948722666711a364f182157e3e28a7b97ae17a596b7fd962`,
	"Werkzeug pbkdf2":       `pbkdf2:sha256:1000$BdEpYNuI5fS94hsM$4f4e37659370f07c19834a9cfd7c616506b1b5698a2918155e57468651d60762`,
}

func TestForeignHashes(t *testing.T) {
	t.Parallel()
	h := secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1})
	for name, text := range foreignHashes {
		if err := secret.CheckForeign(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ok, rehash, err := h.Verify(t.Context(), text, "correct horse")
		if !ok || !rehash || err != nil {
			t.Errorf("%s: %t, %t, %v", name, ok, rehash, err)
		}
		if ok, rehash, err := h.Verify(t.Context(), text, "correct horsf"); ok || rehash || err != nil {
			t.Errorf("%s, a wrong password: %t, %t, %v", name, ok, rehash, err)
		}
	}
}

func TestForeignHashesRefused(t *testing.T) {
	t.Parallel()
	h := secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1})
	for _, text := range []string{
		"plain text", "5f4dcc3b5aa765d61d8327deb882cf99", "$1$salt$hash", "$2b$04$short", "$2b$31$5UJuCch5A00s5x5RgUb17uyMx53Pqn3qKZgXa.x0/wM7U/xGUpRc2",
		"$argon2d$v=19$m=64,t=1,p=1$rUygpZRgQGgyK9kZdZUL4g$pGcNT4VEJkqrQMV7UKLi2uKU2yLi6CIqJyxBsttXD/M",
		"$argon2id$v=19$m=4294967295,t=1,p=1$rUygpZRgQGgyK9kZdZUL4g$pGcNT4VEJkqrQMV7UKLi2uKU2yLi6CIqJyxBsttXD/M",
		"$pbkdf2-sha256$999999999$KYUQopSSklIKwTiH0BojBA$QVzBzNR6W8tmhA2Ktsdt7NB.IGVuk2sSnUI1.xS/sYE",
		"$pbkdf2-md5$1000$KYUQopSSklIKwTiH0BojBA$QVzBzNR6W8tmhA2Ktsdt7NB.IGVuk2sSnUI1.xS/sYE",
		"$pbkdf2-sha256$1000$*$QVzBzNR6W8tmhA2Ktsdt7NB.IGVuk2sSnUI1.xS/sYE", "$pbkdf2-sha256$1000$KYUQopSSklIKwTiH0BojBA$", "$pbkdf2-sha256$-1$KYUQ$QVzB",
		"$scrypt$ln=25,r=8,p=1$f28N4dwbQ4iREiJkDGFMSQ$7Z2+TOy+FZD+vPiW4BRjkDB74ZkR0DOuZTvaofdO+KM",
		"$scrypt$ln=99,r=8,p=1$f28N4dwbQ4iREiJkDGFMSQ$7Z2+TOy+FZD+vPiW4BRjkDB74ZkR0DOuZTvaofdO+KM",
		"scrypt:300:8:1$salt$825b7ca59b0fd08544ea0ef7c2c3c238", "scrypt:256:8$salt$825b7ca59b0fd08544ea0ef7c2c3c238", "pbkdf2:sha256$salt$825b7ca59b0fd08544ea0ef7c2c3c238",
		"scrypt$salt$256$8$5$not base64", "pbkdf2_sha256$1000$salt$QVzB", strings.Repeat("$", 100),
	} {
		if err := secret.CheckForeign(text); !errors.Is(err, secret.ErrHash) {
			t.Errorf("%s: %v", text, err)
		}
		if ok, _, err := h.Verify(t.Context(), text, "correct horse"); ok || !errors.Is(err, secret.ErrHash) {
			t.Errorf("%s: %t, %v", text, ok, err)
		}
	}
}

// FuzzForeign holds that no text is worse than refused: none panics, and what is taken can
// be verified.
func FuzzForeign(f *testing.F) {
	for _, text := range foreignHashes {
		f.Add(text)
	}
	h := secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1})
	f.Fuzz(func(t *testing.T, text string) {
		if secret.CheckForeign(text) != nil || strings.ContainsAny(text, "789") && len(text) > 40 { // not the costly ones
			return
		}
		if _, _, err := h.Verify(t.Context(), text, "x"); err != nil {
			t.Errorf("%q passes, and then: %v", text, err)
		}
	})
}
