package rs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/sdk/internal/cache"
)

const (
	defaultCacheSize = 100_000
	defaultCacheTTL  = 5 * time.Minute
	unknownTTL       = 5 * time.Second // a "nobody" may become somebody
	maxBatch         = 1000
	convertTimeout   = 15 * time.Second
)

// way is one direction of conversion: between this service's own subjects and
// those of another subsystem.
type way struct {
	subsystem string
	out       bool
}

func inward(subsystem string) way  { return way{subsystem: subsystem} }
func outward(subsystem string) way { return way{subsystem: subsystem, out: true} }

type conversion struct {
	way     way
	subject string
}

// converter asks the authorization server for conversions, remembers them, and
// sends together what is asked for while a request is under way. No timer: a
// lone question goes at once, and the busier it is the fuller the batches.
type converter struct {
	ask   func(ctx context.Context, way way, subjects []string) ([]string, error)
	now   func() time.Time
	ttl   time.Duration
	known *cache.LRU[conversion, string]

	mu    sync.Mutex
	lanes map[way]*lane
}

// lane is the traffic of one way. It exists while a request of it is under way.
type lane struct {
	waiting map[string]*pending
	order   []string
}

// pending is the question about one subject, shared by all who ask it.
type pending struct {
	done    chan struct{}
	subject string // the answer, once done is closed
	err     error
}

// convert turns own subjects out, or others' in; an empty string stays empty,
// and "" is the answer for a subject that names nobody.
func (m *Mapping) convert(ctx context.Context, way way, subjects []string) ([]string, error) {
	m.once.Do(m.prepare)
	if way.subsystem == m.Client.Subsystem() {
		return subjects, nil // one sector: the same identifiers on both sides
	}
	return m.converter.convert(ctx, way, subjects)
}

func (m *Mapping) clock() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

func (m *Mapping) prepare() {
	now, ttl, size := m.clock, m.CacheTTL, m.CacheSize
	if ttl <= 0 {
		ttl = defaultCacheTTL
	}
	if size <= 0 {
		size = defaultCacheSize
	}
	own := m.Client.Subsystem()
	m.converter = &converter{
		ask: func(ctx context.Context, way way, subjects []string) ([]string, error) {
			from, to := way.subsystem, own
			if way.out {
				from, to = own, way.subsystem
			}
			return m.Client.Convert(ctx, from, to, subjects)
		},
		now:   now,
		ttl:   ttl,
		known: cache.New[conversion, string](size, now),
		lanes: make(map[way]*lane),
	}
}

func (c *converter) convert(ctx context.Context, way way, subjects []string) ([]string, error) {
	converted := make([]string, len(subjects))
	var missing []string
	var places [][]int
	at := make(map[string]int)
	for i, subject := range subjects {
		if subject == "" {
			continue
		}
		if known, found := c.known.Get(conversion{way, subject}); found {
			converted[i] = known
			continue
		}
		if at[subject] == 0 {
			missing, places = append(missing, subject), append(places, nil)
			at[subject] = len(missing)
		}
		places[at[subject]-1] = append(places[at[subject]-1], i)
	}
	for n, question := range c.enqueue(way, missing) {
		select {
		case <-question.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if question.err != nil {
			return nil, fmt.Errorf("rs: converting identifiers: %w", question.err)
		}
		for _, i := range places[n] {
			converted[i] = question.subject
		}
	}
	return converted, nil
}

// enqueue puts questions on their lane, beside those already waiting there,
// and starts the lane if it is not running.
func (c *converter) enqueue(way way, subjects []string) []*pending {
	if len(subjects) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	traffic, running := c.lanes[way]
	if !running {
		traffic = &lane{waiting: make(map[string]*pending)}
		c.lanes[way] = traffic
	}
	questions := make([]*pending, len(subjects))
	for i, subject := range subjects {
		question, asked := traffic.waiting[subject]
		if !asked {
			question = &pending{done: make(chan struct{})}
			traffic.waiting[subject] = question
			traffic.order = append(traffic.order, subject)
		}
		questions[i] = question
	}
	if !running {
		go c.run(way, traffic)
	}
	return questions
}

// run sends batch after batch until nothing waits.
func (c *converter) run(way way, traffic *lane) {
	for {
		subjects, questions := c.next(way, traffic)
		if len(subjects) == 0 {
			return
		}
		c.settle(way, subjects, questions)
	}
}

// next takes the first batch off the lane, and closes an empty lane.
func (c *converter) next(way way, traffic *lane) ([]string, []*pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := min(len(traffic.order), maxBatch)
	if count == 0 {
		delete(c.lanes, way)
		return nil, nil
	}
	subjects := traffic.order[:count:count]
	traffic.order = traffic.order[count:]
	questions := make([]*pending, count)
	for i, subject := range subjects {
		questions[i] = traffic.waiting[subject]
		delete(traffic.waiting, subject)
	}
	return subjects, questions
}

func (c *converter) settle(way way, subjects []string, questions []*pending) {
	// Many callers share the request, so none of their contexts rules it.
	ctx, cancel := context.WithTimeout(context.Background(), convertTimeout)
	defer cancel()
	answers, err := c.ask(ctx, way, subjects)
	now := c.now()
	for i, question := range questions {
		if err != nil {
			question.err = err
		} else {
			question.subject = answers[i]
			life := c.ttl
			if answers[i] == "" {
				life = min(life, unknownTTL)
			}
			c.known.Put(conversion{way, subjects[i]}, answers[i], now.Add(life))
		}
		close(question.done)
	}
}
