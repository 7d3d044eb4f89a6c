package registry

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/sekisho-id/sekisho/internal/rar"
)

// Group is the declared model: what a group file says, checked, with every
// default filled in and every file it names read. It is what the database keeps
// and what a Snapshot is built from. Lists that are sets are sorted.
type Group struct {
	Name       Text                       `json:"name,omitzero" jsonschema:"description=What people call the group. It stands on the sign-in page."`
	Theme      *Theme                     `json:"theme,omitempty" jsonschema:"description=Colours of the pages."`
	Issuer     string                     `json:"issuer" jsonschema:"description=The https origin of the authorization server: no path and no slash at the end. Plain http on a loopback address only."`
	Providers  map[string]*GroupProvider  `json:"providers,omitempty" jsonschema:"description=OpenID providers of others at which people may sign in\\, by name."`
	Subsystems map[string]*GroupSubsystem `json:"subsystems" jsonschema:"description=The member systems by name: small letters\\, digits and hyphens\\, at most 40."`
	Legacy     map[string]*GroupLegacy    `json:"legacy_tokens,omitempty" jsonschema:"description=Tokens of systems that were there before\\, which services may exchange for those of this one\\, by name."`
	Calls      []GroupCall                `json:"calls,omitempty" jsonschema:"description=Who may call whom. What is not listed cannot be called."`
	Events     []GroupEvent               `json:"events,omitempty" jsonschema:"description=Who may tell whom what happened. What is not listed reaches nobody."`
	NeverLink  [][]string                 `json:"never_link,omitempty" jsonschema:"description=Pairs of subsystems that must never be able to find out\\, not even together with others\\, that two identifiers belong to one person. Calls that would let them are refused."`
}

// GroupSubsystem is one member system.
type GroupSubsystem struct {
	Scenario Scenario                `json:"scenario" jsonschema:"enum=app,enum=backend,enum=service,enum=third_party,description=How it takes part: app (first-party app or site)\\, backend (outside the protected area; calls in)\\, service (inside; calls and is called)\\, third_party (another company's)."`
	Name     Text                    `json:"name,omitzero" jsonschema:"description=What people call it."`
	Theme    *Theme                  `json:"theme,omitempty" jsonschema:"description=Colours of the pages on which people sign in to it. Default: those of the group."`
	Sector   string                  `json:"sector,omitempty" jsonschema:"description=Only after a rename: the old name\\, so that people keep their identifiers there."`
	Identity []string                `json:"identity,omitempty" jsonschema:"enum=profile,enum=email,enum=phone,enum=address,description=Identity scopes its clients may ask for beside openid and offline_access."`
	Resource *GroupResource          `json:"resource,omitempty" jsonschema:"description=Its API. Services only."`
	Clients  map[string]*GroupClient `json:"clients,omitempty" jsonschema:"description=Its OAuth clients by name; the client_id is subsystem.client."`
}

// GroupResource is the API of a service.
type GroupResource struct {
	Audience string                      `json:"audience" jsonschema:"description=The URI that names the API in tokens: absolute\\, no fragment\\, unique in the group."`
	Scopes   map[string]Text             `json:"scopes" jsonschema:"description=Its scopes\\, each with the words a person reads when asked for consent."`
	Opaque   bool                        `json:"opaque,omitempty" jsonschema:"description=Access tokens for it are opaque and can be checked by introspection only."`
	Details  map[string]*GroupDetailType `json:"authorization_details,omitempty" jsonschema:"description=Types of authorization details (RFC 9396) that it takes\\, by name. A scope with types is given to people's clients together with such details alone."`
	Profile  Profile                     `json:"profile,omitempty" jsonschema:"enum=oidc,enum=fapi2,enum=fapi2-message-signing,description=fapi2 and fapi2-message-signing: tokens for it are given to clients of that profile only and bound to a key of theirs. Default: oidc."`
}

// GroupDetailType is one type of authorization details: what a client may do with a
// scope, down to the amount. SchemaFile is of the file alone.
type GroupDetailType struct {
	Name       Text                `json:"name" jsonschema:"description=The words a person reads when asked for consent\\, as in Make a payment."`
	Scope      string              `json:"scope" jsonschema:"description=The scope of this API that it details. To ask for the details is to ask for the scope."`
	Schema     Document            `json:"schema,omitzero" jsonschema:"description=JSON Schema of its members beside type and locations. Members that it does not name are refused."`
	SchemaFile string              `json:"schema_file,omitempty" jsonschema:"description=File that holds the JSON Schema."`
	Members    []GroupDetailMember `json:"members,omitempty" jsonschema:"description=Members in the order in which a person is shown them. Those that are not listed come after\\, under their bare names."`
}

// GroupDetailMember is a member of a type of authorization details.
type GroupDetailMember struct {
	Path   string        `json:"path" jsonschema:"description=Where it is\\, as in amount.value."`
	Name   Text          `json:"name" jsonschema:"description=What people call it."`
	Narrow rar.Narrowing `json:"narrow,omitempty" jsonschema:"enum=at_most,enum=subset,description=How it may differ where a token is asked for with less than was allowed: at_most (a number no larger)\\, subset (some of a list). Default: not at all."`
}

// Document is a JSON object of a group file. Unlike in keys, numbers are numbers.
type Document struct{ json.RawMessage }

// GroupClient is one OAuth client. SecretFile and JWKSFile are of the file
// alone: a Group holds what was read from them.
type GroupClient struct {
	Type       ClientType      `json:"type,omitempty" jsonschema:"enum=web,enum=native,enum=spa,enum=backend,description=web (a site with a server)\\, native (an app on a device)\\, spa (an app in a browser)\\, backend (a program nobody looks at). Default: web with redirect_uris; backend without."`
	Profile    Profile         `json:"profile,omitempty" jsonschema:"enum=oidc,enum=fapi2,enum=fapi2-message-signing,description=How strict it must be. fapi2 (FAPI 2.0 Security Profile): a certificate or private_key_jwt addressed to the issuer alone\\, no RS256\\, pushed requests with PKCE\\, tokens bound to a key. fapi2-message-signing: and signed requests. Default: oidc."`
	Auth       AuthMethod      `json:"auth,omitempty" jsonschema:"enum=none,enum=client_secret_basic,enum=client_secret_post,enum=private_key_jwt,enum=tls_client_auth,enum=self_signed_tls_client_auth,description=How it proves to be itself. Default: client_secret_basic with a secret; private_key_jwt with keys; none in an app or third_party without either."`
	Secrets    []string        `json:"secret_sha256,omitempty" jsonschema:"description=SHA-256 of the client secret in hex. Two or more while a secret is being replaced."`
	SecretFile string          `json:"secret_file,omitempty" jsonschema:"description=File that holds the client secret\\, 32 characters or more. Only its hash is kept."`
	JWKS       json.RawMessage `json:"jwks,omitempty" jsonschema:"description=Public keys of the client (RFC 7517)."`
	JWKSFile   string          `json:"jwks_file,omitempty" jsonschema:"description=File that holds the public keys of the client (RFC 7517)."`

	Workload *GroupWorkload `json:"workload,omitempty" jsonschema:"description=For a program that its platform gives tokens (a Kubernetes service account\\, SPIFFE): it shows one as its assertion. jwks or jwks_file has the keys of the platform."`

	CertificateURI     string   `json:"tls_client_auth_san_uri,omitempty" jsonschema:"description=For tls_client_auth: the URI by which the client is known in its certificate\\, as in spiffe://market.example/pay (RFC 8705)."`
	CertificateDNS     string   `json:"tls_client_auth_san_dns,omitempty" jsonschema:"description=For tls_client_auth: its DNS name in the certificate."`
	CertificateSubject string   `json:"tls_client_auth_subject_dn,omitempty" jsonschema:"description=For tls_client_auth: the subject of the certificate as openssl x509 -nameopt RFC2253 writes it."`
	Certificates       []string `json:"certificate_sha256,omitempty" jsonschema:"description=For self_signed_tls_client_auth: SHA-256 of the certificates of the client in hex. Two or more while one is being replaced."`

	Assertions string `json:"assertions,omitempty" jsonschema:"enum=once,enum=once_per_replica,description=How often an assertion of private_key_jwt or a DPoP proof is taken: once\\, which costs one write to the database\\, or once by each replica\\, which costs none and lets who steals one use it at another replica while it lives. Default: once."`

	RedirectURIs           []string `json:"redirect_uris,omitempty" jsonschema:"description=Where people return to after sign-in. Compared byte for byte; on a native client the port of a loopback address is free."`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty" jsonschema:"description=Where people may return to after sign-out."`
	CORSOrigins            []string `json:"cors_origins,omitempty" jsonschema:"description=Origins from which a browser may call the token endpoint. Public clients only. Default for spa: the origins of its redirect_uris."`
	PAR                    string   `json:"par,omitempty" jsonschema:"enum=optional,enum=required,description=required: authorization requests of this client are pushed (RFC 9126) and others refused. Default: optional; required in a profile of FAPI 2.0."`
	JAR                    string   `json:"jar,omitempty" jsonschema:"enum=optional,enum=required,description=required: authorization requests of this client are signed (RFC 9101) and others refused. Default: optional; required in fapi2-message-signing."`
	SenderConstraint       string   `json:"sender_constraint,omitempty" jsonschema:"enum=none,enum=dpop,enum=dpop_with_nonce,enum=mtls,description=mtls: every token of this client is bound to the certificate that it presents (RFC 8705). dpop: every token of this client is bound to a key that it proves to hold (RFC 9449)\\, and requests without a proof are refused. dpop_with_nonce: and each proof holds a nonce of this server. A proof sent without being asked for binds the token too. Default: none; dpop in a profile of FAPI 2.0."`
	PKCE                   string   `json:"pkce,omitempty" jsonschema:"enum=required,enum=optional,description=optional only for foreign software that cannot send it\\, and never for a public client. Default: required."`
	IDTokenAlg             string   `json:"id_token_alg,omitempty" jsonschema:"enum=RS256,enum=ES256,description=How its ID tokens are signed. Default: RS256; ES256 in a profile of FAPI 2.0."`
	ACR                    string   `json:"acr,omitempty" jsonschema:"enum=aal1,enum=aal2,description=How strongly people sign in to it at least: aal1 (one way of proof will do)\\, aal2 (a passkey\\, or a password and a one-time code). Default: aal1."`
	FormerSubject          bool     `json:"former_sub,omitempty" jsonschema:"description=After its sector was re-keyed\\, ID tokens and logout tokens name the former subject\\, too\\, as former_sub\\, while former subjects are taken."`
	Rate                   int      `json:"rate,omitempty" jsonschema:"minimum=1,maximum=100000,description=Token requests a second. Default: 2000 for a confidential client of the group; 50 for any other."`

	Name             Text   `json:"name,omitzero" jsonschema:"description=What people call it. Default: the name of the subsystem."`
	ClientURI        string `json:"client_uri,omitempty" jsonschema:"description=Its home page."`
	LogoURI          string `json:"logo_uri,omitempty" jsonschema:"description=Its logo."`
	PolicyURI        string `json:"policy_uri,omitempty" jsonschema:"description=What it does with data of people."`
	TOSURI           string `json:"tos_uri,omitempty" jsonschema:"description=Its terms of service."`
	InitiateLoginURI string `json:"initiate_login_uri,omitempty" jsonschema:"description=Where its sign-in can be started from outside (OIDC Core §4)."`

	BackChannelLogoutURI     string `json:"backchannel_logout_uri,omitempty" jsonschema:"description=Where it is told that a person's session has ended (OIDC Back-Channel Logout)."`
	BackChannelLogoutSession bool   `json:"backchannel_logout_session_required,omitempty" jsonschema:"description=It must be told which session ended. It always is."`
}

// GroupWorkload is what a client is to its platform.
type GroupWorkload struct {
	Issuer  string `json:"issuer,omitempty" jsonschema:"description=iss of its tokens. Leave it out where the platform writes none."`
	Subject string `json:"subject" jsonschema:"description=sub of its tokens\\, as in system:serviceaccount:pay:backend or spiffe://market.example/pay."`
}

// GroupCall is one edge: a subsystem may call the API of another.
type GroupCall struct {
	From             string      `json:"from" jsonschema:"description=The subsystem that calls."`
	To               string      `json:"to" jsonschema:"description=The service that is called."`
	User             []GroupUser `json:"user,omitempty" jsonschema:"description=Scopes for a person."`
	Service          []string    `json:"service,omitempty" jsonschema:"description=Scopes for the caller itself."`
	ThirdPartyChains bool        `json:"third_party_chains,omitempty" jsonschema:"description=A chain of calls that a third party began may go on here."`
	Bound            bool        `json:"bound,omitempty" jsonschema:"description=Tokens for this call are given only bound to a key or certificate that the caller proves to hold."`
	RequireGrant     bool        `json:"require_grant,omitempty" jsonschema:"description=Identifiers are converted only for people who have used the caller. Always so for a third party."`
}

// GroupUser is one scope for a person: the bare scope, or one under a condition.
type GroupUser struct {
	Scope string   `json:"scope" jsonschema:"description=A scope of the called API."`
	When  []string `json:"when,omitempty" jsonschema:"description=Only in exchange for a token that holds all of these scopes of the caller's own API."`
}

// GroupEvent says which events of one publisher go to whom.
type GroupEvent struct {
	Publisher    string   `json:"publisher" jsonschema:"description=The service that publishes\\, or platform for the authorization server itself."`
	Types        []string `json:"types" jsonschema:"description=Types of event: names of the publisher's own like item.sold; of the platform session-revoked\\, credential-change\\, token-claims-change\\, account-disabled\\, account-enabled\\, account-purged."`
	Receivers    []string `json:"receivers" jsonschema:"description=The subsystems that may receive them: backends\\, services and third parties."`
	RequireGrant bool     `json:"require_grant,omitempty" jsonschema:"description=Only about people who have used the receiver. Always so for a third party."`
}

// MarshalJSON writes the short form where there is no condition.
func (u GroupUser) MarshalJSON() ([]byte, error) {
	if len(u.When) == 0 {
		return json.Marshal(u.Scope)
	}
	type plain GroupUser
	return json.Marshal(plain(u))
}

// UnmarshalJSON reads both forms.
func (u *GroupUser) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		u.When = nil
		return json.Unmarshal(data, &u.Scope)
	}
	type plain GroupUser
	return json.Unmarshal(data, (*plain)(u))
}

// sortedKeys lists the keys of a map in order, so that everything made from a
// map is always the same.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
