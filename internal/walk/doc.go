// Package walk plays random stories of people and clients against the whole
// server and against a model of it, and compares every answer. It consists of
// tests alone:
//
//   - model_test.go and model_token_test.go are what the server should do, with
//     browsers and with tokens: no HTTP, no SQL; group_test.go is the group that
//     both know;
//   - steps_test.go and its neighbours are what can happen: begin to sign in,
//     answer a page, redeem a code or steal it, refresh, exchange, revoke,
//     withdraw, disable, change the group, let time pass;
//   - server_test.go is the real server, with real rooms on a real database,
//     seen through its HTTP handler; said_test.go reads what it says in tokens;
//   - walk_test.go draws walks by a seed, runs them, and makes a walk that went
//     wrong as short as it can.
//
// It owns nothing, and nothing imports it.
package walk
