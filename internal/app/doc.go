// Package app builds the authorization server out of its rooms and runs it:
// Config says what an installation decides, Open wires every room as a struct
// literal, routes.go shows every URL on one screen, Run serves until its
// context ends and then drains.
//
// It owns no rule and no table. Two listeners: the public one, and one for
// operators (health, readiness, metrics, profiling) that stands on loopback
// unless told otherwise.
package app
