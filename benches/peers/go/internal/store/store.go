// Package store has where states rest that leave the cache: nowhere, or in this process's memory.
package store

import (
	"slices"
	"sync"

	"readstates-peer/internal/state"
)

// Store keeps states. A state that was saved is loaded as it was, however the one saved changes.
type Store interface {
	Load(key state.Key) (state.State, bool)
	Save(key state.Key, state *state.State)
}

// Nothing is a store that forgets at once: a state pushed out of the cache is gone.
type Nothing struct{}

// Load finds nothing.
func (Nothing) Load(state.Key) (state.State, bool) { return state.State{}, false }

// Save forgets.
func (Nothing) Save(state.Key, *state.State) {}

const shards = 64

// Memory keeps states as long as the process lives. Its rows hold no pointers, so that the garbage
// collector does not look at them: in a real service they would be in another process.
type Memory struct {
	shards [shards]shard
}

type shard struct {
	mutex   sync.Mutex
	rows    map[state.Key]row
	ledgers map[state.Key]state.Ledger
}

type row struct {
	lastAckedID, version           uint64
	unpositioned, flags, viewedDay uint32
	inexact, hasLedger             bool
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	memory := &Memory{}
	for i := range memory.shards {
		memory.shards[i].rows = make(map[state.Key]row)
		memory.shards[i].ledgers = make(map[state.Key]state.Ledger)
	}
	return memory
}

func (m *Memory) of(key state.Key) *shard {
	return &m.shards[key.Hash()>>32%shards]
}

// Load returns the state under key, if there is one.
func (m *Memory) Load(key state.Key) (state.State, bool) {
	s := m.of(key)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	row, found := s.rows[key]
	if !found {
		return state.State{}, false
	}
	loaded := state.State{
		LastAckedID: row.lastAckedID,
		Version:     row.version,
		Flags:       row.flags,
		ViewedDay:   row.viewedDay,
		Inexact:     row.inexact,
	}
	var ledger *state.Ledger
	if row.hasLedger {
		kept := clone(s.ledgers[key])
		ledger = &kept
	}
	loaded.SetParts(row.unpositioned, ledger)
	return loaded, true
}

// Save puts a state in the place of the one under key.
func (m *Memory) Save(key state.Key, saved *state.State) {
	s := m.of(key)
	ledger := saved.Ledger()
	kept := row{
		lastAckedID:  saved.LastAckedID,
		version:      saved.Version,
		unpositioned: saved.Unpositioned(),
		flags:        saved.Flags,
		viewedDay:    saved.ViewedDay,
		inexact:      saved.Inexact,
		hasLedger:    ledger != nil,
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if ledger != nil {
		s.ledgers[key] = clone(*ledger)
	} else if s.rows[key].hasLedger {
		delete(s.ledgers, key)
	}
	s.rows[key] = kept
}

func clone(ledger state.Ledger) state.Ledger {
	ledger.Counted = slices.Clone(ledger.Counted)
	ledger.Zeroed = slices.Clone(ledger.Zeroed)
	return ledger
}
