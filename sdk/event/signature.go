package event

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of a signed request (Standard Webhooks 1.0).
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const (
	secretPrefix    = "whsec_"
	signatureScheme = "v1,"
	// signatureAge is how far the time of a signature may be from now, before
	// and after.
	signatureAge  = 5 * time.Minute
	maxSignatures = 20 // in one header; more are not looked at
)

// Errors of VerifySignature.
var (
	ErrSignature    = errors.New("event: the signature is not of any of the secrets")
	ErrSignatureAge = errors.New("event: the signature is older than five minutes, or of the future")
)

// VerifySignature checks the signature of a webhook request (Standard Webhooks
// 1.0, HMAC-SHA256 over id, timestamp and body). Several secrets are those of a
// rotation; a request needs the signature of one. What the request is about is
// proved by its event credential; this only tells that whoever sent it knows
// the secret of the subscription.
func VerifySignature(secrets []string, header http.Header, body []byte, now time.Time) error {
	id, timestamp := header.Get(headerID), header.Get(headerTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || id == "" || strconv.FormatInt(seconds, 10) != timestamp {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > signatureAge || age < -signatureAge {
		return ErrSignatureAge
	}
	signatures := strings.SplitN(header.Get(headerSignature), " ", maxSignatures+1)
	for _, secret := range secrets {
		key, ok := secretKey(secret)
		if !ok {
			continue
		}
		want := signatureOf(key, id, timestamp, body)
		for _, signature := range signatures[:min(len(signatures), maxSignatures)] {
			if hmac.Equal([]byte(signature), []byte(want)) {
				return nil
			}
		}
	}
	return ErrSignature
}

// sign adds the headers of a signed request, with a signature for each secret.
func sign(header http.Header, id string, at time.Time, body []byte, secrets ...string) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, secret := range secrets {
		if key, ok := secretKey(secret); ok {
			signatures = append(signatures, signatureOf(key, id, timestamp, body))
		}
	}
	header.Set(headerID, id)
	header.Set(headerTimestamp, timestamp)
	header.Set(headerSignature, strings.Join(signatures, " "))
}

func signatureOf(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return signatureScheme + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// secretKey is the key within a secret of the form whsec_… An empty or short
// one is none: anybody could sign with it.
func secretKey(secret string) ([]byte, bool) {
	encoded, ok := strings.CutPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	return key, ok && err == nil && len(key) >= 24
}
