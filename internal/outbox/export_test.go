package outbox

// Conditions are those of what is asked for all the time, by the index that must
// answer them.
var Conditions = map[string]string{
	"delivery_due":     whereDue,
	"delivery_pending": wherePending,
	"delivery_dead":    whereDead,
	"delivery_settled": whereSettled,
}
