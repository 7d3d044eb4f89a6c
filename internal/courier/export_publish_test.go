package courier

// Limits of what a publisher hands in.
const (
	MaxPeople     = maxPeople
	MaxPersonName = maxPersonName
	MaxData       = maxData
	MaxEventID    = maxEventID
)
