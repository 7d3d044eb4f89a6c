package courier

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sekisho-id/sekisho/internal/db"
)

// writer is what a groupCommit writes with: it waits to be let go, and remembers
// the sizes of the groups.
type writer struct {
	let    chan error
	groups []int
}

func (w *writer) write(_ context.Context, group []*submission) error {
	w.groups = append(w.groups, len(group))
	return <-w.let
}

// Who comes while others are written waits for the next group, and everybody gets
// the answer of theirs.
func TestSubmissionsAreWrittenInGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &writer{let: make(chan error)}
		g := groupCommit{write: w.write}
		failed, answers := errors.New("failed"), make(chan error, 100)
		submit := func() { answers <- g.do(t.Context(), new(submission)) }
		go submit()
		synctest.Wait()
		for range groupSize + 2 {
			go submit()
		}
		synctest.Wait()
		for _, answer := range []error{nil, failed, nil} {
			w.let <- answer
			synctest.Wait()
		}
		if len(w.groups) != 3 || w.groups[0] != 1 || w.groups[1] != groupSize || w.groups[2] != 2 {
			t.Errorf("groups of %v", w.groups)
		}
		bad := 0
		for range groupSize + 3 {
			if err := <-answers; errors.Is(err, failed) {
				bad++
			} else if err != nil {
				t.Error(err)
			}
		}
		if bad != groupSize {
			t.Errorf("%d of the group that failed were told", bad)
		}
		if g.writing || g.waiting != nil {
			t.Error("something is left behind")
		}
	})
}

// A conflict with another process is tried once more, when the other's is seen.
func TestConflictIsWrittenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &writer{let: make(chan error, 4)}
		g := groupCommit{write: w.write}
		w.let <- db.ErrConflict
		w.let <- nil
		if err := g.do(t.Context(), new(submission)); err != nil || len(w.groups) != 2 {
			t.Errorf("%v after %d tries", err, len(w.groups))
		}
		w.let <- db.ErrConflict
		w.let <- db.ErrConflict
		if err := g.do(t.Context(), new(submission)); !errors.Is(err, db.ErrConflict) || len(w.groups) != 4 {
			t.Errorf("%v after %d tries", err, len(w.groups))
		}
	})
}

// Who does not wait hinders nobody, and a panic ends no more than its group.
func TestSubmissionThatIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &writer{let: make(chan error)}
		g := groupCommit{write: func(ctx context.Context, group []*submission) error {
			if len(w.groups) == 1 {
				w.groups = append(w.groups, len(group))
				panic("oh")
			}
			return w.write(ctx, group)
		}}
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan error)
		go func() { given <- g.do(ctx, new(submission)) }()
		synctest.Wait()
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		go func() { given <- g.do(t.Context(), new(submission)) }()
		synctest.Wait()
		w.let <- nil
		if err := <-given; err == nil || !strings.Contains(err.Error(), "oh") {
			t.Errorf("after a panic: %v", err)
		}
		go func() { given <- g.do(t.Context(), new(submission)) }()
		w.let <- nil
		if err := <-given; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitingRoom(t *testing.T) {
	t.Parallel()
	var room waitingRoom
	if _, anybody := room.since(); anybody {
		t.Error("somebody waits in an empty room")
	}
	a, _ := room.enter("a", 7)
	b, _ := room.enter("b", 9)
	if after, anybody := room.since(); after != 7 || !anybody {
		t.Errorf("since %d, %t", after, anybody)
	}
	for range maxPolls - 1 {
		if _, ok := room.enter("a", 9); !ok {
			t.Error("a further one of a stream finds no room")
		}
	}
	if _, ok := room.enter("a", 9); ok {
		t.Error("one too many of a stream finds room")
	}
	room.wake([]string{"a", "c"}, 12)
	room.wake([]string{"a"}, 13)
	if len(a.news) != 1 || len(b.news) != 0 {
		t.Errorf("%d for a, %d for b", len(a.news), len(b.news))
	}
	if after, _ := room.since(); after != 13 {
		t.Errorf("since %d", after)
	}
	room.leave(a)
	if _, ok := room.enter("a", 13); !ok {
		t.Error("who leaves makes no room")
	}
}
