package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// Document is a public JSON document, made once and served many times.
type Document struct {
	Body []byte
	ETag string // with its quotes
}

// NewDocument gives body an ETag.
func NewDocument(body []byte) Document {
	sum := sha256.Sum256(body)
	return Document{Body: body, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// Serve answers a GET or HEAD of a public document: any page may read it, and
// caches may keep it for ten minutes.
func (doc Document) Serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	header.Set("Cache-Control", "public, max-age=600")
	header.Set("ETag", doc.ETag)
	if matches(r.Header.Get("If-None-Match"), doc.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(doc.Body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(doc.Body) // the client is gone if this fails
	}
}

// matches reports whether an If-None-Match header names the ETag
// (RFC 9110 §13.1.2, weak comparison).
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}
