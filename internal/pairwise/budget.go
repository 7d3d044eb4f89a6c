package pairwise

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
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

// Budgets count what is left of the day for each subsystem. All doors that
// convert take from the same ones.
type Budgets struct {
	pairwise *Pairwise
	budget   Budget
	logger   *slog.Logger

	mu    sync.Mutex
	day   time.Time // the one that limit and used are of
	limit int64
	used  map[string]int64 // by name of the subsystem
}

// NewBudgets makes the budgets of one process. The logger gets the alarms.
func (p *Pairwise) NewBudgets(budget Budget, logger *slog.Logger) *Budgets {
	budget.PerAccount = cmp.Or(budget.PerAccount, DefaultBudget.PerAccount)
	budget.AtLeast = cmp.Or(budget.AtLeast, DefaultBudget.AtLeast)
	return &Budgets{pairwise: p, budget: budget, logger: logger}
}

// OverBudget is the refusal of a request that the day's budget does not cover.
type OverBudget struct{ RetryAfter time.Duration }

func (OverBudget) Error() string { return "the daily budget of conversions is used up" }

// Take takes n subjects out of the budget of a subsystem, all or none, and warns
// the operators well before it is used up.
func (b *Budgets) Take(ctx context.Context, asker string, n int) error {
	alarm, err := b.take(ctx, asker, n)
	if alarm {
		b.logger.WarnContext(ctx, "a subsystem has used a tenth of its daily budget of conversions", "subsystem", asker)
	}
	return err
}

// take is Take; alarm tells that this request has brought the use to a tenth of
// the budget.
func (b *Budgets) take(ctx context.Context, asker string, n int) (alarm bool, err error) {
	now := b.pairwise.Now().UTC()
	today := now.Truncate(24 * time.Hour)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.day.Equal(today) {
		people, err := b.pairwise.population(ctx)
		if err != nil {
			return false, err
		}
		b.day, b.limit, b.used = today, b.budget.PerAccount*people+b.budget.AtLeast, map[string]int64{}
	}
	before := b.used[asker]
	after := before + int64(n)
	if after > b.limit {
		return false, OverBudget{RetryAfter: today.Add(24 * time.Hour).Sub(now)}
	}
	b.used[asker] = after
	share := max(1, b.limit/alarmShare)
	return before < share && after >= share, nil
}

// population counts the people there are.
func (p *Pairwise) population(ctx context.Context) (n int64, err error) {
	err = p.DB.Read(ctx, func(tx *db.Tx) error {
		n, err = p.People.CountActive(ctx, tx)
		return err
	})
	return n, err
}
