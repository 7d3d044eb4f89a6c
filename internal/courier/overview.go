package courier

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// Report is a stream as operators see it.
type Report struct {
	Stream
	Pending int64
	Dead    int64
	Oldest  time.Time // made first of what is pending; zero for none
	Fault   string    // of the last try that failed; empty if there is none among what is pending or dead
}

// MethodLogout stands in a Report for the logout tokens of a client, whose stream
// has no row.
const MethodLogout = "back-channel logout"

// Overview reports every stream, and those without a row in which something is
// left, by receiver.
func Overview(ctx context.Context, tx *db.Tx) ([]Report, error) {
	streams, err := allStreams(ctx, tx)
	if err != nil {
		return nil, err
	}
	counts, err := outbox.Counts(ctx, tx)
	if err != nil {
		return nil, err
	}
	var reports []Report
	for _, s := range streams {
		reports = append(reports, Report{Stream: *s})
	}
	for id := range counts {
		client, isLogout := strings.CutPrefix(id, logoutPrefix)
		if !isLogout {
			continue
		}
		receiver, _, _ := strings.Cut(client, ".")
		reports = append(reports, Report{Stream: Stream{
			ID: id, Client: client, Receiver: receiver, Method: MethodLogout, Status: StreamEnabled,
		}})
	}
	for i := range reports {
		r := &reports[i]
		count := counts[r.ID]
		r.Pending, r.Dead, r.Oldest = count.Pending, count.Dead, count.Oldest
		if r.Fault, err = outbox.LastFault(ctx, tx, r.ID); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(reports, func(a, b Report) int {
		return strings.Compare(a.Receiver+"\x00"+a.ID, b.Receiver+"\x00"+b.ID)
	})
	return reports, nil
}

// ChangeStatus changes the status of a stream for an operator, who is named by by.
// changed is false if it had that status already. ErrNoStream stands for a stream
// that is not there, or has no status.
func ChangeStatus(ctx context.Context, tx *db.Tx, id string, status StreamStatus, by string, now time.Time) (changed bool, err error) {
	s, err := loadStream(ctx, tx, id)
	if err != nil {
		return false, err
	}
	reason := ""
	if status != StreamEnabled {
		reason = "Set by an operator."
	}
	changed, err = writeStatus(ctx, tx, id, status, reason, now)
	if err != nil || !changed {
		return false, err
	}
	if status == StreamEnabled {
		if err := outbox.Hurry(ctx, tx, now, id); err != nil {
			return false, err
		}
	}
	return true, audit.Append(ctx, tx, audit.Record{
		At: now, Event: audit.StreamChanged, Outcome: audit.OK, Client: s.Client,
		Detail: map[string]any{"stream": id, "status": string(status), "before": string(s.Status), "by": by},
	})
}

// ErrNoStream says that there is no such stream.
var ErrNoStream = errNoStream

// Backlog is how much waits for a receiver.
type Backlog struct {
	Pending, Dead int64
	Age           time.Duration  // of the oldest that is pending
	Streams       map[string]int // by how they are: enabled, failing, paused, disabled
}

// how is the status of a stream, with failing for one that is enabled and whose
// endpoint does not take what it is sent.
func (s *Stream) how() string {
	if s.Status == StreamEnabled && s.Failures > 0 {
		return "failing"
	}
	return string(s.Status)
}

// Backlogs say how much waits for each receiver and how its streams are, by the
// name of its subsystem.
func (c *Courier) Backlogs(ctx context.Context) (map[string]Backlog, error) {
	var counts map[string]outbox.Count
	var streams []*Stream // of the table in memory, the health is older
	err := c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if streams, err = allStreams(ctx, tx); err != nil {
			return err
		}
		counts, err = outbox.Counts(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	now, group := c.Now(), c.Registry.Current()
	receivers, backlogs := map[string]string{}, map[string]Backlog{}
	for _, s := range streams {
		receivers[s.ID] = s.Receiver
		if _, ok := group.Subsystem(s.Receiver); !ok {
			continue
		}
		if backlogs[s.Receiver].Streams == nil {
			backlogs[s.Receiver] = Backlog{Streams: map[string]int{}}
		}
		backlogs[s.Receiver].Streams[s.how()]++
	}
	for id, count := range counts {
		receiver := receivers[id]
		if client, ok := group.Client(strings.TrimPrefix(id, logoutPrefix)); ok && receiver == "" {
			receiver = client.Subsystem.Name
		}
		if _, ok := group.Subsystem(receiver); !ok {
			continue // labels must be bounded
		}
		b := backlogs[receiver]
		b.Pending, b.Dead = b.Pending+count.Pending, b.Dead+count.Dead
		if !count.Oldest.IsZero() {
			b.Age = max(b.Age, now.Sub(count.Oldest))
		}
		backlogs[receiver] = b
	}
	return backlogs, nil
}
