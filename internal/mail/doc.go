// Package mail writes letters to people and brings them to a mail server.
//
// A letter is appended to the queue in the transaction that causes it, and is sent
// after that by whichever process comes first: no page waits for a mail server, and
// none tells by its time whether a letter was written. It owns the table mail. What a
// letter says is sealed there, since it holds links that prove who has read it.
package mail
