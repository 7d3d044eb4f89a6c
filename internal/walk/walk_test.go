package walk_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

var (
	walks = flag.Int("walks", 200, "how many random walks are made")
	seed  = flag.Uint64("seed", 0, "of the walks; 0 for a new one")
)

// drawn is a step of a walk before it is made: what happens, and the seed of
// everything it is about.
type drawn struct {
	step *step
	seed uint64
}

// draw makes a walk out of a seed.
func draw(seed uint64) []drawn {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a walk must be repeatable
	total := 0
	for i := range steps {
		total += steps[i].weight
	}
	plan := make([]drawn, 30+random.IntN(120))
	for i := range plan {
		at := random.IntN(total)
		for j := range steps {
			if at -= steps[j].weight; at < 0 {
				plan[i] = drawn{&steps[j], random.Uint64()}
				break
			}
		}
	}
	return plan
}

// play makes a walk. It gives the number of steps that were made, and the story
// up to the step that went wrong, if one did.
func play(ctx context.Context, s *server, plan []drawn) (made int, story []string, err error) {
	w, err := newWalk(ctx, s)
	if err != nil {
		return 0, nil, err
	}
	for _, d := range plan {
		w.rand = rand.New(rand.NewPCG(d.seed, 1)) //nolint:gosec // as above
		s.now = s.now.Add(time.Second)
		w.model.now = s.now
		t := d.step.take(w, ctx)
		if t == nil {
			continue
		}
		made++
		story = append(story, t.what+": "+t.want)
		if t.want != t.got {
			story[len(story)-1] = fmt.Sprintf("%s:\n    want %s\n    got  %s", t.what, t.want, t.got)
			return made, story, nil
		}
	}
	return made, nil, s.app.Audit.Flush(ctx)
}

// shorten leaves out of a walk that goes wrong whatever it goes wrong without.
func shorten(ctx context.Context, s *server, plan []drawn, story []string) ([]string, error) {
	for size := len(plan) / 2; size > 0; size /= 2 {
		for from := 0; from+size <= len(plan); {
			shorter := append(append([]drawn{}, plan[:from]...), plan[from+size:]...)
			_, told, err := play(ctx, s, shorter)
			if err != nil {
				return nil, err
			}
			if told == nil {
				from += size
				continue
			}
			plan, story = shorter, told
		}
	}
	return story, nil
}

// TestWalks compares the server with the model on random walks.
func TestWalks(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = rand.Uint64() //nolint:gosec // any will do
	}
	var made, next atomic.Int64
	workers, ctx := errgroup.WithContext(t.Context())
	for range runtime.GOMAXPROCS(0) {
		directory := fastDirectory(t)
		workers.Go(func() error {
			s, err := openServer(ctx, directory)
			if err != nil {
				return err
			}
			for ctx.Err() == nil {
				walk := next.Add(1) - 1
				if walk >= int64(*walks) {
					break
				}
				plan := draw(*seed + uint64(walk)) //nolint:gosec // never negative
				count, story, err := play(ctx, s, plan)
				made.Add(int64(count))
				if err == nil && story != nil {
					if story, err = shorten(ctx, s, plan, story); err == nil {
						err = fmt.Errorf("walk %d of seed %d:\n  %s", walk, *seed, strings.Join(story, "\n  "))
					}
				}
				if err != nil {
					return err
				}
			}
			return s.app.Close(context.WithoutCancel(ctx))
		})
	}
	err := workers.Wait()
	t.Logf("seed %d: %d operations in %d walks", *seed, made.Load(), min(next.Load(), int64(*walks)))
	if err != nil {
		t.Fatal(err)
	}
}

// fastDirectory is in memory where the system has that: what is walked is not
// how the database survives a loss of power.
func fastDirectory(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	directory, err := os.MkdirTemp(memory, "walk-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return directory
}
