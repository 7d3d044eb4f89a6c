package audit

// Event names what was decided.
type Event string

// The events there are.
const (
	TokenIssued       Event = "token.issued"
	TokenRefused      Event = "token.refused"
	TokenRevoked      Event = "token.revoked"
	TokenIntrospected Event = "token.introspected"
	ExchangeIssued    Event = "exchange.issued"
	ExchangeRefused   Event = "exchange.refused"
	SubjectsConverted Event = "subjects.converted"
	SubjectsReissued  Event = "subjects.reissued"
	SubjectsRefused   Event = "subjects.refused"
	UserinfoServed    Event = "userinfo.served"
	CodeIssued        Event = "code.issued"
	CodeReused        Event = "code.reused"
	RefreshReused     Event = "refresh.reused"
	RefreshRepeated   Event = "refresh.repeated"
	GrantRevoked      Event = "grant.revoked"
	AuthorizeRefused  Event = "authorize.refused"

	EventCredentialIssued  Event = "event.credential_issued"
	EventCredentialRefused Event = "event.credential_refused"

	ClientRefused Event = "client.refused" // client authentication failed

	SignInSucceeded  Event = "signin.succeeded"
	SignInFailed     Event = "signin.failed"
	SignInThrottled  Event = "signin.throttled"
	SessionStarted   Event = "session.started"
	SessionEnded     Event = "session.ended"
	ConsentGranted   Event = "consent.granted"
	ConsentDenied    Event = "consent.denied"
	ConsentWithdrawn Event = "consent.withdrawn"

	AccountCreated  Event = "account.created"
	AccountChanged  Event = "account.changed"
	AccountDisabled Event = "account.disabled"
	AccountEnabled  Event = "account.enabled"
	AccountDeleted  Event = "account.deleted"

	AccountsImported Event = "accounts.imported" // a batch of them
	PasswordChanged  Event = "password.changed"

	CredentialChanged Event = "credential.changed" // a passkey, an authenticator app, recovery codes, a password removed
	SecondFactor      Event = "signin.second_factor"
	LetterWritten     Event = "letter.written" // a link that is sent by mail

	EventsPublished Event = "events.published"
	EventsRefused   Event = "events.refused"
	StreamCreated   Event = "stream.created"
	StreamChanged   Event = "stream.changed"
	StreamDeleted   Event = "stream.deleted"
	StreamPaused    Event = "stream.paused" // by the server, after failures
	StreamFaults    Event = "stream.faults" // the receiver says that it cannot take events

	RegistrationOpened  Event = "registration.opened" // an initial access token was made
	RegistrationClosed  Event = "registration.closed"
	RegistrationRefused Event = "registration.refused"
	ClientRegistered    Event = "client.registered" // by a third party itself
	ClientChanged       Event = "client.changed"
	ClientRemoved       Event = "client.removed"

	GroupApplied Event = "group.applied"
	KeysMade     Event = "keys.made"
	KeysRotated  Event = "keys.rotated"
	KeysRemoved  Event = "keys.removed"
	KeysResealed Event = "keys.resealed" // under another key-encryption key

	GenerationMade Event = "ppid.generation_made"
	SectorRekeyed  Event = "ppid.sector_rekeyed"
	OverlapEnded   Event = "ppid.overlap_ended" // former subjects of a sector are refused from then on

	DatabaseRestored Event = "database.restored" // from a backup, as an operator says
)

// Outcome says which way a decision went.
type Outcome string

// The outcomes there are.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused"
)
