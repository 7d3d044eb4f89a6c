package subjects

import (
	"context"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// Budget is how many subjects a subsystem may have converted on one day (UTC):
// so many for each active account, and some in any case. A zero field has the
// value of DefaultBudget.
type Budget struct {
	PerAccount int64
	AtLeast    int64
}

// DefaultBudget is generous: it is for stolen credentials, not for honest load.
var DefaultBudget = Budget{PerAccount: 50, AtLeast: 100_000}

// alarmShare is the part of a budget whose use is worth a look: a tenth.
const alarmShare = 10

// budgets count what is left of the day for each subsystem.
type budgets struct {
	budget     Budget
	now        func() time.Time
	population func(context.Context) (int64, error)

	mu    sync.Mutex
	day   time.Time // the one that limit and used are of
	limit int64
	used  map[string]int64 // by name of the subsystem
}

// overBudget is the refusal of a request that the day's budget does not cover.
type overBudget struct{ retryAfter time.Duration }

func (overBudget) Error() string { return "the daily budget of conversions is used up" }

// take takes n subjects out of the budget. alarm tells that this request has
// brought the use to a tenth of it.
func (b *budgets) take(ctx context.Context, asker string, n int) (alarm bool, err error) {
	now := b.now().UTC()
	today := now.Truncate(24 * time.Hour)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.day.Equal(today) {
		people, err := b.population(ctx)
		if err != nil {
			return false, err
		}
		b.day, b.limit, b.used = today, b.budget.PerAccount*people+b.budget.AtLeast, map[string]int64{}
	}
	before := b.used[asker]
	after := before + int64(n)
	if after > b.limit {
		return false, overBudget{retryAfter: today.Add(24 * time.Hour).Sub(now)}
	}
	b.used[asker] = after
	share := max(1, b.limit/alarmShare)
	return before < share && after >= share, nil
}

// takeBudget takes n subjects out of the asker's budget and warns the operators
// well before it is used up.
func (d *Door) takeBudget(ctx context.Context, asker *registry.Subsystem, n int) error {
	alarm, err := d.budgets.take(ctx, asker.Name, n)
	if alarm {
		d.Logger.WarnContext(ctx, "a subsystem has used a tenth of its daily budget of conversions", "subsystem", asker.Name)
	}
	return err
}
