package event

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// maxBodyBytes is how long a delivery may be, in either form.
const maxBodyBytes = 64 << 10

// Config says whose events are received, and by whom.
type Config struct {
	Issuer   string // exactly as the server writes it
	Audience string // the name of this subsystem in the group file

	// Inbox remembers what was handled. Nil: a MemoryInbox, which forgets with
	// the process, so that handlers may see an event again after a start.
	Inbox Inbox

	// Mapping finds the internal id of an event's person and is told to forget
	// accounts that are closed. Subsystems without one set Users, which
	// answers rs.ErrUnknownUser where there is no such user; it is also asked
	// in place of Mapping where both are set.
	Mapping *rs.Mapping
	Users   func(ctx context.Context, subject string) (internalID string, err error)

	// Guard refuses the tokens of sessions and accounts that the platform says
	// have ended. The subsystem must receive the platform's events. Where an
	// API has several replicas, each runs Follow.
	Guard *rs.Guard

	// Publishers are the subsystems whose events are taken, by the audience
	// that the types of their events begin with, as in
	// {"https://api.market.example": "market"}. Nil: of any that the group
	// file lets publish to this subsystem, which the issuer has checked.
	Publishers map[string]string

	// Authorization is the authorization_header that the stream was set up
	// with; pushed tokens must come with it. Empty: none is needed.
	Authorization string

	// Secrets are those that publishers sign their requests with (Standard
	// Webhooks), several while one is changed for another. They prove nothing
	// that the token does not, but for the challenge of a new subscription,
	// which is answered where one of them is right. SetSecrets changes them.
	Secrets []string

	Log        *slog.Logger     // nil: slog.Default
	HTTPClient *http.Client     // nil: a plain one with a timeout of 10 seconds
	Now        func() time.Time // nil: time.Now
}

// Handler does what an event asks for. Where the inbox is a database, what it
// writes through tx is kept exactly when the event is marked as handled; where
// it is not, tx is nil. After an error the event comes again, unless the error
// is a *Refusal.
type Handler func(ctx context.Context, tx *sql.Tx, e *Event) error

// Receiver is an http.Handler that takes events and gives them to handlers.
// Make it once with NewReceiver; it is safe for parallel use.
type Receiver struct {
	config Config
	keys   *issuer.Keys
	now    func() time.Time
	log    *slog.Logger
	inbox  Inbox
	sleep  func(context.Context, time.Duration) // between polls

	mu       sync.RWMutex
	handlers map[string]Handler
	secrets  []string
}

// NewReceiver reads the issuer's metadata and keys, so that a wrong
// configuration shows at start.
func NewReceiver(ctx context.Context, config Config) (*Receiver, error) {
	if config.Audience == "" || strings.Contains(config.Audience, ".") {
		return nil, fmt.Errorf("event: Config.Audience %q is not the name of a subsystem", config.Audience)
	}
	r := &Receiver{config: config, now: config.Now, log: config.Log, inbox: config.Inbox, sleep: sleep, handlers: make(map[string]Handler)}
	r.SetSecrets(config.Secrets...)
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	if r.inbox == nil {
		r.inbox = &MemoryInbox{Now: r.now}
	}
	if config.Users == nil && config.Mapping != nil {
		r.config.Users = config.Mapping.Known
	}
	client := issuer.Client(config.HTTPClient)
	metadata, err := issuer.Discover(ctx, client, config.Issuer)
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	r.keys = issuer.NewKeys(metadata.JWKSURI, client, r.now)
	if err := r.keys.Load(ctx); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return r, nil
}

// Handle sets what is done about the events of a type, which is a URI such as
// https://api.market.example/events/item.sold. Events of types without a handler
// are acknowledged and dropped. It panics on a type that has one already, as
// net/http does on a pattern.
func (r *Receiver) Handle(eventType string, handler Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if eventType == "" || handler == nil || r.handlers[eventType] != nil {
		panic(fmt.Sprintf("event: no type, no handler, or a second one: %q", eventType))
	}
	r.handlers[eventType] = handler
}

// ServeHTTP takes a delivery and answers as RFC 8935 §2.3 and §2.4 say.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	answer, err := r.receive(w, request)
	if err != nil {
		r.fail(w, request, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if answer == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// receive does all there is to one delivery. Only a challenge has an answer.
func (r *Receiver) receive(w http.ResponseWriter, request *http.Request) (answer any, err error) {
	ctx := request.Context()
	body, err := readBody(w, request)
	if err != nil {
		return nil, err
	}
	mediaType, err := mediaTypeOf(request)
	if err != nil {
		return nil, err
	}
	switch mediaType {
	case "application/secevent+jwt":
		if err := r.checkTransmitter(request); err != nil {
			return nil, err
		}
		return nil, r.takeSET(ctx, string(body))
	case "application/json":
		if len(request.Header.Values("Authorization")) == 0 {
			return r.answerChallenge(request, body)
		}
		return nil, r.takeCredential(ctx, request, body)
	}
	return nil, refuse(InvalidRequest, "The media type is neither application/json nor application/secevent+jwt.")
}

func readBody(w http.ResponseWriter, request *http.Request) ([]byte, error) {
	// The hash is of the bytes as they were sent; a coding would change them.
	if request.Header.Get("Content-Encoding") != "" {
		return nil, refuse(InvalidRequest, "The body must be sent without a content coding.")
	}
	body, err := readAll(http.MaxBytesReader(w, request.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse(InvalidRequest, "The body is larger than 64 KiB.")
	case err != nil:
		return nil, refuse(InvalidRequest, "The body could not be read.")
	}
	return body, nil
}

func mediaTypeOf(request *http.Request) (string, error) {
	values := request.Header.Values("Content-Type")
	if len(values) != 1 {
		return "", refuse(InvalidRequest, "The request needs one Content-Type.")
	}
	mediaType, _, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", refuse(InvalidRequest, "The Content-Type is not well formed.")
	}
	return mediaType, nil
}

// checkTransmitter compares the header the stream was set up with. Hashes of
// it take the same time to compare whatever was sent.
func (r *Receiver) checkTransmitter(request *http.Request) error {
	values := request.Header.Values("Authorization")
	if len(values) > 1 {
		return refuse(InvalidRequest, "The request has two Authorization headers.")
	}
	if r.config.Authorization == "" {
		return nil
	}
	var sent string
	if len(values) == 1 {
		sent = values[0]
	}
	got, want := sha256.Sum256([]byte(sent)), sha256.Sum256([]byte(r.config.Authorization))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return refuse(AuthenticationFailed, "The Authorization header is not the one agreed on.")
	}
	return nil
}

// takeSET verifies a Security Event Token, pushed or fetched, and handles it.
func (r *Receiver) takeSET(ctx context.Context, compact string) error {
	e, err := r.verifySET(ctx, compact)
	if err != nil {
		return err
	}
	return r.take(ctx, e)
}

func (r *Receiver) takeCredential(ctx context.Context, request *http.Request, body []byte) error {
	token, err := bearerToken(request)
	if err != nil {
		return err
	}
	e, err := r.verifyCredential(ctx, token, body)
	if err != nil {
		return err
	}
	if err := r.checkSignature(request, e.ID, body); err != nil {
		return err
	}
	return r.take(ctx, e)
}

// take handles a verified event: once, whatever number of times it comes.
func (r *Receiver) take(ctx context.Context, e *Event) error {
	// The guard first, and each time: it forgets with the process, the inbox
	// does not.
	if err := r.applyPlatform(e); err != nil {
		return err
	}
	if err := r.share(ctx, e); err != nil {
		return err
	}
	r.mu.RLock()
	handle := r.handlers[e.Type]
	r.mu.RUnlock()
	if handle == nil {
		return nil
	}
	// Outside of the transaction: it may ask over the network, or take a
	// second connection where the database has but one.
	if err := r.findUser(ctx, e); err != nil {
		return err
	}
	var failure error
	err := r.inbox.Once(ctx, e.Issuer, e.ID, func(tx *sql.Tx) error {
		failure = handle(ctx, tx, e)
		return failure
	})
	switch {
	case failure != nil:
		return &handlerError{e.Type, failure}
	case err != nil:
		return unavailable("the inbox", err)
	}
	return nil
}

func (r *Receiver) findUser(ctx context.Context, e *Event) error {
	if r.config.Users == nil || e.Subject == "" {
		return nil
	}
	id, err := r.config.Users(ctx, e.Subject)
	switch {
	case errors.Is(err, rs.ErrUnknownUser):
		return nil
	case err != nil:
		return unavailable("finding the user", err)
	}
	e.User = id
	return nil
}

// bearerToken reads the one place the credential may be in (RFC 6750 §2.1).
func bearerToken(request *http.Request) (string, error) {
	values := request.Header.Values("Authorization")
	if len(values) != 1 {
		return "", refuse(InvalidRequest, "The request has two Authorization headers.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, oauth.Bearer) || token == "" {
		return "", refuse(AuthenticationFailed, "The Authorization header has no bearer token.")
	}
	return token, nil
}
