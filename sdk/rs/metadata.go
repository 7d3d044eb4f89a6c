package rs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/oauth"
)

// Metadata is what an API tells of itself (RFC 9728 §2), beside what the Guard knows.
type Metadata struct {
	Name          string // for people
	Scopes        []string
	Documentation string // URL
	Policy        string // URL of what it does with data
	Terms         string // URL
}

// protectedResource is the document (RFC 9728 §2).
type protectedResource struct {
	Resource                     string   `json:"resource"`
	AuthorizationServers         []string `json:"authorization_servers"`
	ScopesSupported              []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported       []string `json:"bearer_methods_supported"`
	Name                         string   `json:"resource_name,omitempty"`
	Documentation                string   `json:"resource_documentation,omitempty"`
	Policy                       string   `json:"resource_policy_uri,omitempty"`
	Terms                        string   `json:"resource_tos_uri,omitempty"`
	CertificateBoundAccessTokens bool     `json:"tls_client_certificate_bound_access_tokens"`
	DPoPSigningAlgValues         []string `json:"dpop_signing_alg_values_supported"`
	DPoPBoundRequired            bool     `json:"dpop_bound_access_tokens_required"`
}

const wellKnown = "/.well-known/oauth-protected-resource"

// describe writes the document and tells its address: the well-known path between host
// and path of the resource (RFC 9728 §3.1).
func describe(config *Config) (document []byte, address string, err error) {
	resource, err := url.Parse(config.Audience)
	loopback := err == nil && resource.Scheme == "http" && (resource.Hostname() == "localhost" || resource.Hostname() == "127.0.0.1")
	if err != nil || resource.Host == "" || resource.Scheme != "https" && !loopback || resource.RawQuery != "" {
		return nil, "", fmt.Errorf("rs: Config.Metadata: the audience %q is not the https address of the API", config.Audience)
	}
	for _, scope := range config.Metadata.Scopes {
		if !oauth.ValidScope(scope) {
			return nil, "", fmt.Errorf("rs: Config.Metadata: %q is no scope", scope)
		}
	}
	document, err = json.Marshal(protectedResource{
		Resource:                     config.Audience,
		AuthorizationServers:         []string{config.Issuer},
		ScopesSupported:              config.Metadata.Scopes,
		BearerMethodsSupported:       []string{"header"},
		Name:                         config.Metadata.Name,
		Documentation:                config.Metadata.Documentation,
		Policy:                       config.Metadata.Policy,
		Terms:                        config.Metadata.Terms,
		CertificateBoundAccessTokens: true,
		DPoPSigningAlgValues:         dpop.Algorithms,
		DPoPBoundRequired:            config.BoundOnly,
	})
	path := resource.EscapedPath()
	if path == "/" {
		path = ""
	}
	return document, resource.Scheme + "://" + resource.Host + wellKnown + path, err
}

// MetadataPath is where ServeMetadata is to be mounted; empty without Config.Metadata.
func (g *Guard) MetadataPath() string {
	if address, err := url.Parse(g.metadataURL); err == nil {
		return address.EscapedPath()
	}
	return ""
}

// ServeMetadata tells clients who issues tokens for this API, and how they are sent
// (RFC 9728 §3). It needs Config.Metadata.
func (g *Guard) ServeMetadata(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	if g.metadata == nil {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "public, max-age=3600")
	header.Set("Access-Control-Allow-Origin", "*") // it is for anybody
	header.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(g.metadata) // who has hung up is nobody to tell
}
