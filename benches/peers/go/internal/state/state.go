// Package state has the read state and how acks, mentions and resets move it, as the contract of
// readstates.v1 says.
package state

// Key names one read state.
type Key struct {
	User    uint64
	Channel uint64
	Kind    uint8
}

// State is one read state. The zero value is a state that does not exist.
type State struct {
	LastAckedID  uint64
	Version      uint64
	MentionCount uint32
	Flags        uint32
	ViewedDay    uint32
	// Inexact says that the count holds a part that came from ledger overflow.
	Inexact      bool
	unpositioned uint32
	ledger       *Ledger
}

// Outcome is what became of a mention.
type Outcome uint8

// The outcomes, numbered as in the contract.
const (
	NoMention Outcome = iota
	Incremented
	Duplicate
	AlreadyRead
)

// Exists tells whether there is a state.
func (s *State) Exists() bool { return s.Version != 0 }

// Ledger returns the part that only states with unread mentions have, or nil, for reading.
func (s *State) Ledger() *Ledger { return s.ledger }

// Unpositioned returns the mentions that came without an id.
func (s *State) Unpositioned() uint32 { return s.unpositioned }

// SetParts puts a state back together as a store kept it.
func (s *State) SetParts(unpositioned uint32, ledger *Ledger) {
	s.unpositioned, s.ledger = unpositioned, ledger
	s.recount()
}

// Ack moves the watermark forward. It tells whether anything changed.
func (s *State) Ack(message uint64, flags, day *uint32) bool {
	if message < s.LastAckedID {
		return false
	}
	changed := !s.Exists()
	if flags != nil && *flags != s.Flags {
		s.Flags, changed = *flags, true
	}
	if day != nil && *day != s.ViewedDay {
		s.ViewedDay, changed = *day, true
	}
	if s.unpositioned > 0 {
		s.unpositioned, changed = 0, true
	}
	if message > s.LastAckedID {
		s.passTo(message)
		changed = true
	}
	s.recount()
	return changed
}

// Mention counts a message once.
func (s *State) Mention(message uint64, initial *uint64) (Outcome, bool) {
	changed := !s.Exists()
	changed = s.startAt(initial) || changed
	if message <= s.LastAckedID {
		s.recount()
		return AlreadyRead, changed
	}
	if s.ledger == nil {
		s.ledger = &Ledger{}
	}
	inserted, folded := s.ledger.insert(message)
	s.Inexact = s.Inexact || folded
	s.recount()
	if !inserted {
		return Duplicate, changed
	}
	return Incremented, true
}

// Increment adds mentions without a position.
func (s *State) Increment(count uint32, initial *uint64) bool {
	changed := !s.Exists()
	changed = s.startAt(initial) || changed
	sum := saturatingAdd(s.unpositioned, count)
	changed = changed || sum != s.unpositioned
	s.unpositioned = sum
	s.recount()
	return changed
}

// Reset sets the mention count to 0; the watermark stays.
func (s *State) Reset() bool {
	if !s.Exists() || (s.MentionCount == 0 && !s.Inexact) {
		return false
	}
	s.unpositioned, s.Inexact = 0, false
	if s.ledger != nil {
		s.ledger.zeroAll()
	}
	s.recount()
	return true
}

func (s *State) startAt(initial *uint64) bool {
	if initial == nil || *initial == 0 || s.LastAckedID != 0 {
		return false
	}
	s.passTo(*initial)
	return true
}

func (s *State) passTo(watermark uint64) {
	s.LastAckedID = watermark
	if s.ledger != nil {
		s.Inexact = s.ledger.pass(watermark)
	}
}

// recount sums the count up anew and drops a ledger that nothing is in.
func (s *State) recount() {
	s.MentionCount = s.unpositioned
	if s.ledger == nil {
		return
	}
	s.MentionCount = saturatingAdd(s.ledger.mentions(), s.unpositioned)
	if s.ledger.idle() {
		s.ledger = nil
	}
}

// Hash spreads keys by their user, so that all states of a user are in one shard and share the
// clock that makes versions rise per user. It is the finalizer of splitmix64.
func (k Key) Hash() uint64 {
	hash := k.User + 0x9e3779b97f4a7c15
	hash = (hash ^ hash>>30) * 0xbf58476d1ce4e5b9
	hash = (hash ^ hash>>27) * 0x94d049bb133111eb
	return hash ^ hash>>31
}
