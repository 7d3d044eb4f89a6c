package registry

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// Limits of a client.
const (
	maxURIs    = 20
	maxSecrets = 5
	maxRate    = 100_000
)

var (
	clientTypes      = []string{string(TypeWeb), string(TypeNative), string(TypeSPA), string(TypeBackend)}
	authMethods      = []string{string(AuthNone), string(AuthSecretBasic), string(AuthSecretPost), string(AuthPrivateKeyJWT), string(AuthTLS), string(AuthSelfSignedTLS)}
	idTokenAlgs      = []string{string(jose.RS256), string(jose.ES256)}
	acrChoices       = []string{acrOne, "aal2"}
	pkceChoices      = []string{pkceRequired, pkceOptional}
	parChoices       = []string{parOptional, PARRequired}
	jarChoices       = []string{jarOptional, JARRequired}
	constraints      = []string{constraintNone, ConstraintDPoP, constraintDPoPNonce, ConstraintMTLS}
	assertionChoices = []string{assertionsOnce, assertionsOncePerReplica}
)

// clientCheck is a client with all that its rules ask for.
type clientCheck struct {
	checker
	*GroupClient
	path      string
	id        string
	subsystem string
	scenario  Scenario

	registered bool // by a third party itself
}

func (c checker) checkClient(subsystem, short string) {
	path := clientPath(subsystem, short)
	c.checkName(path, short, "a client")
	declared := c.group.Subsystems[subsystem].Clients[short]
	if declared == nil {
		c.lose(path, "has no value", "write what kind of client it is, as in `redirect_uris: [...]`")
		return
	}
	clientCheck{
		checker: c, GroupClient: declared, path: path, id: clientID(subsystem, short),
		subsystem: subsystem, scenario: c.group.Subsystems[subsystem].Scenario,
	}.checkAll()
}

// checkAll checks all that is known of the client.
func (c clientCheck) checkAll() {
	known := c.oneOf("type", string(c.Type), clientTypes)
	known = c.oneOf("auth", string(c.Auth), authMethods) && known
	c.oneOf("pkce", c.PKCE, pkceChoices)
	if c.Profile != "" {
		known = c.oneOf("profile", string(c.Profile), profiles) && known
	}
	if c.PAR != "" {
		c.oneOf("par", c.PAR, parChoices)
	}
	if c.JAR != "" {
		c.oneOf("jar", c.JAR, jarChoices)
	}
	if c.SenderConstraint != "" {
		c.oneOf("sender_constraint", c.SenderConstraint, constraints)
	}
	if c.Assertions != "" {
		c.oneOf("assertions", c.Assertions, assertionChoices)
	}
	c.oneOf("id_token_alg", c.IDTokenAlg, idTokenAlgs)
	if c.ACR != "" {
		c.oneOf("acr", c.ACR, acrChoices)
	}
	c.checkText(c.path+".name", c.Name)
	c.checkKeys()
	if known {
		c.checkKind()
		c.checkAuth()
		c.checkCertificates()
		c.checkWorkload()
		c.checkProfile()
	}
	c.checkURIs()
	c.checkOrigins()
	if c.Rate < 1 || c.Rate > maxRate {
		c.at("rate", fmt.Sprintf("%d requests a second is out of range", c.Rate), fmt.Sprintf("write a number from 1 to %d", maxRate))
	}
}

// at adds a fault of one key of the client.
func (c clientCheck) at(key, what, hint string) { c.value(c.path+"."+key, what, hint) }

func (c clientCheck) oneOf(key, value string, known []string) bool {
	if value == "" && key == "auth" || slices.Contains(known, value) { // no auth has a better word in checkAuth
		return true
	}
	c.at(key, quote(value)+" is not one of "+list(known, "and"), oneOfHint(value, known))
	return false
}

func oneOfHint(value string, known []string) string {
	if near, ok := nearest(value, known); ok {
		return "did you mean " + near + "?"
	}
	return "choose one of them"
}

// checkKind checks the type against the scenario and what signs people in.
func (c clientCheck) checkKind() {
	onDevice := c.Type == TypeNative || c.Type == TypeSPA
	signsIn := len(c.RedirectURIs) > 0
	switch {
	case onDevice && !c.scenario.AllowsPublicClients():
		c.at("type", fmt.Sprintf("%s is %s; its clients are confidential, and what runs on a person's device keeps no secret", c.subsystem, c.scenario.described()),
			"make it `type: web` or `backend`, or a client of an app")
	case onDevice && c.Auth != AuthNone:
		c.at("auth", "what runs on a person's device keeps no secret, so "+c.Type.phrase()+" client is public (RFC 8252 §8.5)",
			"write `auth: none`, or make it `type: web`")
	case c.Type == TypeBackend && signsIn:
		c.at("redirect_uris", "a client of type backend signs nobody in", "make it `type: web`, or remove `redirect_uris:`")
	case c.Type != TypeBackend && !signsIn:
		c.at("redirect_uris", c.Type.phrase()+" client signs people in and needs to know where they return to", "write `redirect_uris: [https://...]`, or make it `type: backend`")
	case !signsIn && c.scenario == App:
		c.at("redirect_uris", fmt.Sprintf("%s is %s; a client that signs nobody in could do nothing there", c.subsystem, c.scenario.described()),
			"write `redirect_uris: [https://...]`")
	case !signsIn && c.Auth == AuthNone:
		c.at("redirect_uris", "a public client can do nothing but sign people in", "write `redirect_uris: [https://...]`, or how it proves to be itself")
	}
}

// checkAuth checks the method against what the client has to prove itself with.
func (c clientCheck) checkAuth() {
	for _, key := range []string{"jwks", "jwks_file", "secret_file", "secret_sha256"} {
		if c.isLost(c.path + "." + key) {
			return // whether it has what it needs cannot be said
		}
	}
	hasSecret := len(c.Secrets) > 0 || c.SecretFile != ""
	hasKeys := len(c.JWKS) > 0 || c.JWKSFile != ""
	const give = "write `jwks_file:`, `secret_file:` or `secret_sha256:`"
	switch {
	case c.Auth == "" || c.Auth == AuthNone && !c.scenario.AllowsPublicClients():
		c.at("auth", fmt.Sprintf("%s cannot be public, since %s is %s; its clients are confidential", c.id, c.subsystem, c.scenario.described()), give)
	case c.Auth == AuthNone && hasSecret:
		c.at("auth", "none has no secret", "remove the secret, or write `auth: client_secret_basic`")
	case c.Auth == AuthNone && hasKeys:
		c.at("auth", "none has no keys", "remove the keys, or write `auth: private_key_jwt`")
	case c.Auth.usesSecret() && !hasSecret:
		c.at("auth", string(c.Auth)+" needs a secret", "write `secret_file:` or `secret_sha256:`")
	case c.Auth.usesSecret() && hasKeys:
		c.at("auth", string(c.Auth)+" has no keys", "remove the keys, or write `auth: private_key_jwt`")
	case c.Auth.usesCertificate() && hasSecret:
		c.at("auth", string(c.Auth)+" has no secret", "remove the secret")
	case c.Auth == AuthPrivateKeyJWT && !hasKeys:
		c.at("auth", "private_key_jwt needs the public keys of the client", "write `jwks_file:` or `jwks:`")
	case c.Auth == AuthPrivateKeyJWT && hasSecret:
		c.at("auth", "private_key_jwt has no secret", "remove the secret")
	}
	bound := c.SenderConstraint != "" && c.SenderConstraint != constraintNone
	if c.Assertions != "" && c.Auth != AuthPrivateKeyJWT && !bound {
		c.at("assertions", "only a client with private_key_jwt or a sender_constraint sends what must be taken once", "remove `assertions:`")
	}
	if c.PAR == PARRequired && len(c.RedirectURIs) == 0 {
		c.at("par", "a client without redirect_uris sends no authorization requests", "remove `par:`")
	}
	switch {
	case c.JAR != JARRequired:
	case !hasKeys:
		c.at("jar", "only a client with keys can sign its requests", "remove `jar:`, or write `jwks_file:` with its public keys")
	case len(c.RedirectURIs) == 0:
		c.at("jar", "a client without redirect_uris sends no authorization requests", "remove `jar:`")
	}
	if c.PKCE == pkceOptional && c.Auth == AuthNone {
		c.at("pkce", "a public client cannot do without PKCE: whoever gets hold of its code could use it (RFC 9700 §2.1.1)", "remove `pkce:`")
	}
}

// checkKeys checks secrets and keys themselves.
func (c clientCheck) checkKeys() {
	if len(c.Secrets) > maxSecrets {
		c.at("secret_sha256", fmt.Sprintf("has more than %d secrets", maxSecrets), "keep the one in use and the one before")
	}
	for i, text := range c.Secrets {
		at := fmt.Sprintf("secret_sha256[%d]", i)
		hash, err := hex.DecodeString(text)
		switch {
		case err != nil || len(hash) != 32 || text != strings.ToLower(text):
			c.at(at, "is no SHA-256 in small hex; never write the secret itself here", "make it with: printf %s \"$SECRET\" | sha256sum")
		case slices.Contains(c.Secrets[:i], text):
			c.at(at, "is there twice", "remove one of them")
		}
	}
	if len(c.JWKS) > 0 {
		if _, err := jose.ParseJWKS(c.JWKS); err != nil {
			key := "jwks"
			if c.JWKSFile != "" {
				key = "jwks_file"
			}
			c.at(key, "is no set of public keys: "+strings.TrimPrefix(err.Error(), "jose: "), "write a JWK set as in RFC 7517: a map with `keys`, each with kty and its public members")
		}
	}
}

// checkURIs checks every address of the client.
func (c clientCheck) checkURIs() {
	use := redirectUse
	if c.Type == TypeNative {
		use = nativeRedirectUse
	}
	c.checkURIList("redirect_uris", c.RedirectURIs, use)
	c.checkURIList("post_logout_redirect_uris", c.PostLogoutRedirectURIs, use)
	c.checkPage("client_uri", c.ClientURI)
	c.checkPage("logo_uri", c.LogoURI)
	c.checkPage("policy_uri", c.PolicyURI)
	c.checkPage("tos_uri", c.TOSURI)
	c.checkPage("initiate_login_uri", c.InitiateLoginURI)
	c.checkPage("backchannel_logout_uri", c.BackChannelLogoutURI)
	if c.registered {
		c.checkReached("initiate_login_uri", c.InitiateLoginURI)
		c.checkReached("backchannel_logout_uri", c.BackChannelLogoutURI)
	}
	if c.InitiateLoginURI != "" && len(c.RedirectURIs) == 0 {
		c.at("initiate_login_uri", "a client that signs nobody in has no sign-in to start", "remove it")
	}
	c.checkBackChannel()
	if len(c.PostLogoutRedirectURIs) > 0 && len(c.RedirectURIs) == 0 {
		c.at("post_logout_redirect_uris", "a client that signs nobody in has nobody to sign out", "remove them")
	}
}

// checkBackChannel checks that there are sessions to be told of, and a server to
// be told (OIDC Back-Channel Logout §2.2).
func (c clientCheck) checkBackChannel() {
	switch {
	case c.BackChannelLogoutURI == "" && c.BackChannelLogoutSession:
		c.at("backchannel_logout_session_required", "there is no backchannel_logout_uri to tell of the session at", "write `backchannel_logout_uri:`, or remove it")
	case c.BackChannelLogoutURI == "":
	case len(c.RedirectURIs) == 0:
		c.at("backchannel_logout_uri", "a client that signs nobody in has no sessions to be told of", "remove it")
	case c.Type != TypeWeb:
		c.at("backchannel_logout_uri", "what runs on a person's device is not reached by our server", "remove it, or make the client `type: web`")
	}
}

func (c clientCheck) checkPage(key, uri string) {
	if what, hint := uriFault(uri, pageUse); uri != "" && what != "" {
		c.at(key, quote(uri)+" "+what, hint)
	}
}

func (c clientCheck) checkURIList(key string, uris []string, use uriUse) {
	if len(uris) > maxURIs {
		c.at(key, fmt.Sprintf("has %d URIs, more than %d", len(uris), maxURIs), "split the client")
	}
	for i, uri := range uris {
		at := fmt.Sprintf("%s[%d]", key, i)
		if what, hint := uriFault(uri, use); what != "" {
			c.at(at, quote(uri)+" "+what, hint)
		} else if slices.Contains(uris[:i], uri) {
			c.at(at, quote(uri)+" is there twice", "remove one of them")
		}
	}
}

// checkOrigins checks who may call from a browser: public clients alone.
func (c clientCheck) checkOrigins() {
	if len(c.CORSOrigins) == 0 {
		return
	}
	if c.Auth != AuthNone || c.Type == TypeNative {
		c.at("cors_origins", "only a public client that runs in a browser calls from there", "remove it, or make the client `type: spa`")
		return
	}
	if len(c.CORSOrigins) > maxURIs {
		c.at("cors_origins", fmt.Sprintf("has %d origins, more than %d", len(c.CORSOrigins), maxURIs), "split the client")
	}
	for i, origin := range c.CORSOrigins {
		at := fmt.Sprintf("cors_origins[%d]", i)
		if what, hint := corsOriginFault(origin); what != "" {
			c.at(at, quote(origin)+" "+what, hint)
		} else if slices.Contains(c.CORSOrigins[:i], origin) {
			c.at(at, quote(origin)+" is there twice", "remove one of them")
		}
	}
}
