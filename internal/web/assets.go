package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed assets/*
var assetFiles embed.FS

// asset is one embedded file under a name that changes with its content, so
// that it may be kept for ever.
type asset struct {
	url  string
	kind string
	body []byte
}

var assetKinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func loadAssets() (map[string]asset, error) {
	names, err := fs.Glob(assetFiles, "assets/*")
	if err != nil {
		return nil, err
	}
	assets := make(map[string]asset, len(names))
	for _, name := range names {
		body, err := assetFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(body)
		base, ext := path.Base(name), path.Ext(name)
		hashed := strings.TrimSuffix(base, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		assets[base] = asset{url: "/assets/" + hashed, kind: assetKinds[ext], body: body}
	}
	return assets, nil
}

// Asset serves one embedded file under its hashed name: GET /assets/{name}.
func (p *Pages) Asset(w http.ResponseWriter, r *http.Request) {
	for _, one := range p.assets {
		if one.url == r.URL.Path {
			w.Header().Set("Content-Type", one.kind)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = w.Write(one.body) // the browser is gone if this fails
			return
		}
	}
	http.NotFound(w, r)
}
