package rs

import "encoding/json"

// Remember makes a guard keep at most size ends in one generation.
func (g *Guard) Remember(size int) { g.ended.size = size }

// Over is the look-up that each call costs, for a token with claims.
func (g *Guard) Over(claims map[string]any) func() bool {
	var c tokenClaims
	encoded, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(encoded, &c); err != nil {
		panic(err)
	}
	return func() bool { return g.ended.over(&c, g.own) }
}
