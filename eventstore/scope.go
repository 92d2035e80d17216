package eventstore

import (
	"bytes"
	"encoding/json"
	"time"
)

// Scope says how much of a linked set an erasure takes. The zero Scope takes all of it; otherwise it is either the events of one conversation of one
// bot (Conversation and Bot), or the events from before a day (Before). It is comparable.
//
// Its JSON is "all", {"conversation":"…","bot":"…"} or {"before":"2026-01-31"}.
type Scope struct {
	Conversation ConversationID
	Bot          BotID
	// Before is a civil day in the tenant's time zone, as 2026-01-31: what happened before it begins is erased.
	Before string
}

// ScopeAll takes the whole linked set.
var ScopeAll Scope

// ScopeCode is a scope as the ledger has it.
type ScopeCode string

// The codes of scopes.
const (
	ScopeCodeAll          ScopeCode = "all"
	ScopeCodeConversation ScopeCode = "conversation"
	ScopeCodeBefore       ScopeCode = "before"
)

// All says whether the scope is the whole linked set.
func (s Scope) All() bool { return s == ScopeAll }

// Code is what the ledger says of the scope: its kind alone.
func (s Scope) Code() ScopeCode {
	switch {
	case s.All():
		return ScopeCodeAll
	case s.Before != "":
		return ScopeCodeBefore
	}
	return ScopeCodeConversation
}

// Check refuses with ErrInvalid what is no scope.
func (s Scope) Check() error {
	switch {
	case s.All():
		return nil
	case s.Before != "" && (s.Conversation != "" || s.Bot != ""):
		return Refuse(KindInvalid, "scope", "a scope is a conversation of a bot or a day before which everything goes, not both")
	case s.Before != "":
		_, err := s.Cutoff(time.UTC)
		return err
	case s.Conversation == "" || s.Bot == "":
		return Refuse(KindInvalid, "scope", "a conversation is named with its bot")
	case len(s.Conversation) > MaxConversation || len(s.Bot) > MaxName:
		return Refuse(KindInvalid, "scope", "a conversation has at most 256 bytes, a bot's name 128")
	}
	return nil
}

// Cutoff is the first instant of the day Before in the zone; the zero time for another scope. ErrInvalid if it is not a day.
func (s Scope) Cutoff(zone *time.Location) (time.Time, error) {
	if s.Before == "" {
		return time.Time{}, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, s.Before, zone)
	if err != nil || day.Year() < 1970 {
		return time.Time{}, Refuse(KindInvalid, "scope", "a day is written as 2026-01-31")
	}
	return day, nil
}

// Takes says whether the scope, with its cutoff, holds an event that was read back.
func (s Scope) Takes(e *Event, cutoff time.Time) bool {
	switch s.Code() {
	case ScopeCodeAll:
		return true
	case ScopeCodeBefore:
		return e.Time.Before(cutoff)
	}
	return e.Conversation == s.Conversation && e.Bot == s.Bot
}

// scopeParts is a scope that is not all, as JSON.
type scopeParts struct {
	Conversation ConversationID `json:"conversation,omitempty"`
	Bot          BotID          `json:"bot,omitempty"`
	Before       string         `json:"before,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (s Scope) MarshalJSON() ([]byte, error) {
	if s.All() {
		return json.Marshal(ScopeCodeAll)
	}
	return json.Marshal(scopeParts(s))
}

// UnmarshalJSON implements [json.Unmarshaler]. It reads what has the form; [Scope.Check] says whether it is a scope. Neither repeats what it was given.
func (s *Scope) UnmarshalJSON(b []byte) error {
	*s = Scope{}
	var code ScopeCode
	if json.Unmarshal(b, &code) == nil {
		if code != ScopeCodeAll && code != "" {
			return errScope
		}
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var p scopeParts
	if d.Decode(&p) != nil || p == (scopeParts{}) {
		return errScope
	}
	*s = Scope(p)
	return nil
}

var errScope = Refuse(KindInvalid, "scope", `a scope is "all", {"conversation":"…","bot":"…"} or {"before":"2026-01-31"}`)
