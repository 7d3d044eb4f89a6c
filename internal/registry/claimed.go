package registry

// Claimed is the client id that the credentials claim, before anything of them
// is believed; empty if they claim none.
func (c Credentials) Claimed() string {
	if c.ClientID != "" || c.Assertion == "" {
		return c.ClientID
	}
	claimed, err := claimedSubject(c.Assertion)
	if err != nil {
		return ""
	}
	return claimed
}
