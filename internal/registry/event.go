package registry

import (
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
)

// Platform is the publisher that is the authorization server itself. No
// subsystem can have this name.
const Platform = "platform"

// platformEvents are the types of event that the platform publishes, by their
// names in the group file.
var platformEvents = map[string]string{
	"account-disabled":    oauth.EventAccountDisabled,
	"account-enabled":     oauth.EventAccountEnabled,
	"account-purged":      oauth.EventAccountPurged,
	"credential-change":   oauth.EventCredentialChange,
	"session-revoked":     oauth.EventSessionRevoked,
	"token-claims-change": oauth.EventTokenClaimsChange,
}

// Event is a type of event with those who may receive it.
type Event struct {
	Name      string          // as in the group file: item.sold
	URI       string          // as in tokens
	Publisher *Subsystem      // nil: the platform
	Receivers []EventReceiver // by name; shared, do not change it
}

// EventReceiver is a subsystem that may receive a type of event.
type EventReceiver struct {
	*Subsystem
	// RequireGrant: only about people who hold a consent or a grant there.
	// Always so for a third party.
	RequireGrant bool
}

// Receiver finds a receiver by its name.
func (e *Event) Receiver(subsystem string) (EventReceiver, bool) {
	i, ok := slices.BinarySearchFunc(e.Receivers, subsystem, func(r EventReceiver, name string) int {
		return strings.Compare(r.Name, name)
	})
	if !ok {
		return EventReceiver{}, false
	}
	return e.Receivers[i], true
}

// Event finds a type of event by its URI.
func (s *Snapshot) Event(uri string) (*Event, bool) {
	event, ok := s.events[uri]
	return event, ok
}

// EventsOf lists what a subsystem publishes, nil for the platform, by URI. It is
// shared: do not change it.
func (s *Snapshot) EventsOf(publisher *Subsystem) []*Event {
	if publisher == nil {
		return s.published[Platform]
	}
	return s.published[publisher.Name]
}

// EventsTo lists what a subsystem may receive, by URI. It is shared: do not
// change it.
func (s *Snapshot) EventsTo(receiver *Subsystem) []*Event { return s.received[receiver.Name] }

// MayPublish reports whether a client may hand events to the hub.
func (s *Snapshot) MayPublish(client *Client) bool {
	return !client.Public() && len(s.published[client.Subsystem.Name]) > 0
}

// MayReceive reports whether a client may have a stream of events.
func (s *Snapshot) MayReceive(client *Client) bool {
	return !client.Public() && len(s.received[client.Subsystem.Name]) > 0
}

// ClientIDs lists the ids of the subsystem's clients.
func (s *Subsystem) ClientIDs() []string {
	ids := make([]string, len(s.Clients))
	for i, client := range s.Clients {
		ids[i] = client.ID
	}
	return ids
}

// eventURI is the name of a type of event outside the group file. Those of a
// subsystem hang on its audience, which is its own alone.
func (g *Group) eventURI(publisher, name string) string {
	if publisher == Platform {
		return platformEvents[name]
	}
	return strings.TrimSuffix(g.Subsystems[publisher].Resource.Audience, "/") + "/events/" + name
}
