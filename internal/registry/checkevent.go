package registry

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

const maxEventType = 60

// eventCheck is one entry of events with all that its rules ask for.
type eventCheck struct {
	checker
	*GroupEvent
	path string
}

func (c checker) checkEvents() {
	seen := eventsSeen{publishers: map[string]string{}, rights: map[[2]string]string{}}
	for i := range c.group.Events {
		check := eventCheck{checker: c, GroupEvent: &c.group.Events[i], path: fmt.Sprintf("events[%d]", i)}
		if c.isLost(check.path) || !check.checkPublisher() {
			continue
		}
		check.checkTypes()
		check.checkReceivers()
		check.checkOnce(seen)
	}
}

// checkPublisher checks that the publisher is the platform, or holds resources
// and can prove to be itself.
func (c eventCheck) checkPublisher() bool {
	path := c.path + ".publisher"
	if c.Publisher == Platform {
		return true
	}
	publisher, known := c.checkEnd(path, c.Publisher)
	switch {
	case !known:
		return false
	case !publisher.Scenario.AllowsResource():
		c.value(path, fmt.Sprintf("%s publishes nothing, since it is %s", c.Publisher, publisher.Scenario.described()),
			"events come from a service with a resource, or from "+Platform)
		return false
	case publisher.Resource == nil:
		if !c.isLost(below("subsystems", c.Publisher) + ".resource") {
			c.value(path, c.Publisher+" has no resource, so nothing happens there to tell of", "give it `resource:`")
		}
		return false
	case !publisher.provesItself():
		c.value(path, c.Publisher+" has no client that can prove to be it", "give it a client with `auth: private_key_jwt` or `client_secret_basic`")
	}
	return true
}

func (c eventCheck) checkTypes() {
	if len(c.Types) == 0 {
		c.value(c.path+".types", "is missing", "write the types of event, as in `types: [item.sold]`")
	}
	known := slices.Sorted(maps.Keys(platformEvents))
	for i, name := range c.Types {
		at := fmt.Sprintf("%s.types[%d]", c.path, i)
		switch {
		case slices.Contains(c.Types[:i], name):
			c.value(at, name+" is there twice", "remove one of them")
		case c.Publisher == Platform && platformEvents[name] == "":
			c.value(at, quote(name)+" is no event of the platform", didYouMean(name, known, "events of the platform"))
		case !validEventType(name):
			c.value(at, quote(name)+" cannot be a type of event",
				fmt.Sprintf("small letters and digits, with dots and hyphens between, %d at most: item.sold", maxEventType))
		}
	}
}

// eventType is a name that can stand at the end of a URI as it is.
var eventType = regexp.MustCompile(`^[a-z][a-z0-9]*([.-][a-z0-9]+)*$`)

func validEventType(name string) bool {
	return len(name) <= maxEventType && eventType.MatchString(name)
}

// checkReceivers checks that each receiver can ask for a stream: by client
// credentials, with a client that proves to be itself.
func (c eventCheck) checkReceivers() {
	if len(c.Receivers) == 0 {
		c.value(c.path+".receivers", "is missing", "write who receives them, as in `receivers: [pay]`")
	}
	for i, name := range c.Receivers {
		path := fmt.Sprintf("%s.receivers[%d]", c.path, i)
		receiver, known := c.checkEnd(path, name)
		switch {
		case !known:
		case slices.Contains(c.Receivers[:i], name):
			c.value(path, name+" is there twice", "remove one of them")
		case name == c.Publisher:
			c.value(path, name+" needs no event of its own", "remove it")
		case !receiver.Scenario.AllowsClientCredentials():
			c.value(path, fmt.Sprintf("%s cannot receive events, since it is %s", name, receiver.Scenario.described()),
				"events go to a backend, a service or a third_party, which can act for themselves")
		case !receiver.provesItself():
			c.value(path, name+" has public clients only, and anyone could ask for a stream in its name",
				"give it a client with `auth: private_key_jwt` or `client_secret_basic`")
		}
	}
}

// eventsSeen is what the entries before one have said.
type eventsSeen struct {
	publishers map[string]string    // by URI
	rights     map[[2]string]string // path of the entry, by URI and receiver
}

// checkOnce checks that each right is written in one place, and that each URI is
// of one publisher: the audiences of two may differ by a slash at the end.
func (c eventCheck) checkOnce(seen eventsSeen) {
	for i, name := range c.Types {
		uri := c.group.eventURI(c.Publisher, name)
		if other, taken := seen.publishers[uri]; taken && other != c.Publisher {
			c.value(fmt.Sprintf("%s.types[%d]", c.path, i), fmt.Sprintf("%s is called %s, and so is the one of %s", name, uri, other),
				"give the resources of the two different audiences")
		}
		seen.publishers[uri] = c.Publisher
		for i, receiver := range c.Receivers {
			right := [2]string{uri, receiver}
			if other, twice := seen.rights[right]; twice && other != c.path {
				c.value(fmt.Sprintf("%s.receivers[%d]", c.path, i), fmt.Sprintf("%s receives %s of %s already, by %s", receiver, name, c.Publisher, other),
					"write each right in one place")
			}
			seen.rights[right] = c.path
		}
	}
}
