package issuertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/sekisho-id/sekisho/oauth"
)

// Hub is the issuer as a transmitter of events, with at most one stream.
type Hub struct {
	Configuration map[string]any // what it says of itself; changed by tests

	mu       sync.Mutex
	url      string
	stream   map[string]any
	status   map[string]any
	subjects []string          // "add alice.crypto", "remove …"
	verified []string          // states asked for
	waiting  map[string]string // tokens to be polled, by jti
	order    []string          // in which they came
	acked    []string
	refused  map[string]string
	news     chan struct{} // closed when something comes
	trouble  []int         // statuses to answer the next polls with
}

const streamID = "stream-1"

func newHub(url string) *Hub {
	return &Hub{
		url: url, waiting: make(map[string]string), refused: make(map[string]string), news: make(chan struct{}),
		Configuration: map[string]any{
			"spec_version": "1_0", "issuer": url, "jwks_uri": url + "/oauth2/jwks",
			"delivery_methods_supported": []string{oauth.DeliveryPush, oauth.DeliveryPoll},
			"configuration_endpoint":     url + "/ssf/streams", "status_endpoint": url + "/ssf/status",
			"add_subject_endpoint": url + "/ssf/subjects/add", "remove_subject_endpoint": url + "/ssf/subjects/remove",
			"verification_endpoint": url + "/ssf/verify", "default_subjects": "ALL",
		},
	}
}

func (h *Hub) mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /.well-known/ssf-configuration", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, h.Configuration)
	})
	for pattern, handle := range map[string]http.HandlerFunc{
		"/ssf/streams": h.streams, "/ssf/status": h.setStatus, "POST /ssf/subjects/{what}": h.subject,
		"POST /ssf/verify": h.verify, "POST /ssf/poll/{stream}": h.poll,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer service-") {
				refuse(w, oauth.InvalidToken, "no")
				return
			}
			handle(w, r)
		})
	}
}

func noStream(w http.ResponseWriter) {
	write(w, http.StatusNotFound, oauth.Refuse(oauth.InvalidRequest, "no such stream"))
}

func (h *Hub) streams(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var sent map[string]any
	if r.Method == http.MethodPost || r.Method == http.MethodPatch || r.Method == http.MethodPut {
		if json.NewDecoder(r.Body).Decode(&sent) != nil {
			refuse(w, oauth.InvalidRequest, "no JSON")
			return
		}
	}
	id := r.URL.Query().Get("stream_id")
	if changed, ok := sent["stream_id"].(string); ok {
		id = changed
	}
	switch {
	case r.Method == http.MethodGet && id == "":
		list := []any{}
		if h.stream != nil {
			list = append(list, h.stream)
		}
		write(w, http.StatusOK, list)
		return
	case r.Method == http.MethodPost && h.stream != nil:
		write(w, http.StatusConflict, oauth.Refuse(oauth.InvalidRequest, "there is one"))
		return
	case r.Method != http.MethodPost && (h.stream == nil || id != streamID):
		noStream(w)
		return
	}
	status := http.StatusOK
	switch r.Method {
	case http.MethodPost, http.MethodPut:
		h.status = map[string]any{"stream_id": streamID, "status": "enabled"}
		h.stream = map[string]any{"stream_id": streamID, "iss": h.url, "aud": "crypto", "min_verification_interval": 30}
		maps.Copy(h.stream, sent)
		if r.Method == http.MethodPost {
			status = http.StatusCreated
		}
	case http.MethodPatch:
		maps.Copy(h.stream, sent)
	case http.MethodDelete:
		h.stream = nil
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if delivery, ok := h.stream["delivery"].(map[string]any); ok {
		delete(delivery, "authorization_header") // never told again
		if delivery["method"] == oauth.DeliveryPoll {
			delivery["endpoint_url"] = h.url + "/ssf/poll/" + streamID
		}
	}
	write(w, status, h.stream)
}

func (h *Hub) setStatus(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Method == http.MethodPost {
		if json.NewDecoder(r.Body).Decode(&h.status) != nil {
			refuse(w, oauth.InvalidRequest, "no JSON")
			return
		}
	} else if h.stream == nil || r.URL.Query().Get("stream_id") != streamID {
		noStream(w)
		return
	}
	write(w, http.StatusOK, h.status)
}

func (h *Hub) subject(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var sent struct {
		StreamID string          `json:"stream_id"`
		Subject  oauth.SubjectID `json:"subject"`
	}
	if json.NewDecoder(r.Body).Decode(&sent) != nil || sent.StreamID != streamID ||
		sent.Subject.Format != oauth.FormatIssuerSubject || sent.Subject.Issuer != h.url {
		noStream(w)
		return
	}
	h.subjects = append(h.subjects, r.PathValue("what")+" "+sent.Subject.Subject)
	w.WriteHeader(http.StatusNoContent)
}

func (h *Hub) verify(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var sent struct {
		StreamID string `json:"stream_id"`
		State    string `json:"state"`
	}
	if json.NewDecoder(r.Body).Decode(&sent) != nil || sent.StreamID != streamID {
		noStream(w)
		return
	}
	h.verified = append(h.verified, sent.State)
	w.WriteHeader(http.StatusNoContent)
}

// poll is RFC 8936 §2.
func (h *Hub) poll(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		MaxEvents         *int                         `json:"maxEvents"`
		ReturnImmediately bool                         `json:"returnImmediately"`
		Ack               []string                     `json:"ack"`
		SetErrs           map[string]map[string]string `json:"setErrs"`
	}
	if json.NewDecoder(r.Body).Decode(&sent) != nil || r.PathValue("stream") != streamID {
		noStream(w)
		return
	}
	h.mu.Lock()
	if len(h.trouble) > 0 {
		status := h.trouble[0]
		h.trouble = h.trouble[1:]
		h.mu.Unlock()
		http.Error(w, "trouble", status)
		return
	}
	for _, id := range sent.Ack {
		if _, waits := h.waiting[id]; waits {
			h.acked = append(h.acked, id)
		}
		delete(h.waiting, id)
	}
	for id, fault := range sent.SetErrs {
		delete(h.waiting, id)
		h.refused[id] = fault["err"]
	}
	for len(h.waiting) == 0 && !sent.ReturnImmediately {
		news := h.news
		h.mu.Unlock()
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
		h.mu.Lock()
	}
	var sets []string // members of an object, in the order of the stream
	for _, id := range h.order {
		if token, waits := h.waiting[id]; waits && (sent.MaxEvents == nil || len(sets) < *sent.MaxEvents) {
			sets = append(sets, fmt.Sprintf("%q:%q", id, token))
		}
	}
	more := len(sets) < len(h.waiting)
	h.mu.Unlock()
	write(w, http.StatusOK, map[string]any{"sets": json.RawMessage("{" + strings.Join(sets, ",") + "}"), "moreAvailable": more})
}

// Add puts a token on the stream.
func (h *Hub) Add(id, token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting[id] = token
	h.order = append(h.order, id)
	close(h.news)
	h.news = make(chan struct{})
}

// Trouble has the next polls answered with statuses.
func (h *Hub) Trouble(statuses ...int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trouble = statuses
}

// Settled is what was acknowledged, in order, and the code of what was refused.
func (h *Hub) Settled() (acked []string, refused map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.acked), maps.Clone(h.refused)
}

// Asked is what was asked for: subjects and verifications.
func (h *Hub) Asked() (subjects, states []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.subjects), slices.Clone(h.verified)
}
