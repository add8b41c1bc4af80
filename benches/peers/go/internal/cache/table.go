package cache

import "readstates-peer/internal/state"

// entry is one resident state.
type entry struct {
	key   state.Key
	state state.State
	// dirtyUs is when it was first changed since it was last written; 0 if it was not.
	dirtyUs int64
}

// table has the entries of a shard in order of use, at most as many as it was made for.
type table interface {
	// use returns the entry under key, which is then the one used last; nil if there is none.
	use(key state.Key) *entry
	// add takes in an entry that is not there, as the one used last, while the table is not full.
	add(added entry) *entry
	isFull() bool
	// oldest returns the entry that was not used for the longest time, of at least one.
	oldest() *entry
	removeOldest()
	len() int
}

// linked is what one writes first: entries on the heap, each with pointers to its neighbours.
type linked struct {
	nodes    map[state.Key]*node
	nodesMax int
	// first and last in order of use, the newest first.
	first, last *node
}

type node struct {
	entry
	newer, older *node
}

func newLinked(entriesMax int) *linked {
	return &linked{nodes: make(map[state.Key]*node, entriesMax), nodesMax: entriesMax}
}

func (l *linked) use(key state.Key) *entry {
	found, resident := l.nodes[key]
	if !resident {
		return nil
	}
	if l.first != found {
		l.unlink(found)
		l.link(found)
	}
	return &found.entry
}

func (l *linked) add(added entry) *entry {
	fresh := &node{entry: added}
	l.nodes[added.key] = fresh
	l.link(fresh)
	return &fresh.entry
}

func (l *linked) isFull() bool   { return len(l.nodes) >= l.nodesMax }
func (l *linked) len() int       { return len(l.nodes) }
func (l *linked) oldest() *entry { return &l.last.entry }

func (l *linked) removeOldest() {
	removed := l.last
	l.unlink(removed)
	delete(l.nodes, removed.key)
}

func (l *linked) link(added *node) {
	added.newer, added.older = nil, l.first
	if l.first != nil {
		l.first.newer = added
	} else {
		l.last = added
	}
	l.first = added
}

func (l *linked) unlink(removed *node) {
	if removed.newer != nil {
		removed.newer.older = removed.older
	} else {
		l.first = removed.older
	}
	if removed.older != nil {
		removed.older.newer = removed.newer
	} else {
		l.last = removed.newer
	}
}
