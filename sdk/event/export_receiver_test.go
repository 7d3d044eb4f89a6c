package event

import (
	"context"
	"time"
)

// Sleep makes a receiver's poll loop pause in another way.
func (r *Receiver) Sleep(sleep func(context.Context, time.Duration)) { r.sleep = sleep }
