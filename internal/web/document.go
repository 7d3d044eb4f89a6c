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

// The headers of every public document: any page may read it, and caches may
// keep it for ten minutes. The values are shared.
var (
	anyOrigin  = []string{"*"}
	tenMinutes = []string{"public, max-age=600"}
)

// Serve answers a GET or HEAD of a public document. The headers are named as
// net/http writes them: a document costs little beside its headers.
func (doc Document) Serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Access-Control-Allow-Origin"] = anyOrigin
	// Nobody is framed by a document or sent on by it, and any site may load it.
	delete(header, "X-Frame-Options")
	delete(header, "Referrer-Policy")
	delete(header, "Cross-Origin-Resource-Policy")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	own := [...]string{doc.ETag, strconv.Itoa(len(doc.Body))}
	header["Cache-Control"] = tenMinutes
	header["Etag"] = own[0:1:1]
	if matches(r.Header.Get("If-None-Match"), doc.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header["Content-Type"] = jsonType
	header["Content-Length"] = own[1:2:2]
	if r.Method == http.MethodGet {
		_, _ = w.Write(doc.Body) // the client is gone if this fails
	}
}

// matches reports whether an If-None-Match header names the ETag
// (RFC 9110 §13.1.2, weak comparison).
func matches(header, etag string) bool {
	if header == "" {
		return false
	}
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}
