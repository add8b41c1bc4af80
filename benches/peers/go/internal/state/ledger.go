package state

import (
	"math"
	"slices"
)

// LedgerMax is how many ids a ledger holds; beyond it the oldest fold into a count.
const LedgerMax = 128

// Ledger is what only a state with unread mentions has: their ids, all above the watermark.
//
// Counted ids make up the mention count. Zeroed ones were reset: they stay until an ack passes
// them, so that a late retry cannot count them again. Both are sorted and share no id.
type Ledger struct {
	Counted []uint64
	Zeroed  []uint64
	// FoldTop is the highest id that counts as already counted.
	FoldTop uint64
	// Folded mentions have no ids any more.
	Folded uint32
}

// insert counts id unless it was counted before. It tells whether it did, and whether a counted id
// was folded for want of a place.
func (l *Ledger) insert(id uint64) (inserted, folded bool) {
	if id <= l.FoldTop {
		return false, false
	}
	place, found := slices.BinarySearch(l.Counted, id)
	if found {
		return false, false
	}
	if _, found = slices.BinarySearch(l.Zeroed, id); found {
		return false, false
	}
	l.Counted = slices.Insert(l.Counted, place, id)
	if len(l.Counted)+len(l.Zeroed) <= LedgerMax {
		return true, false
	}
	return true, l.foldLowest()
}

func (l *Ledger) foldLowest() bool {
	if len(l.Zeroed) > 0 && (len(l.Counted) == 0 || l.Zeroed[0] < l.Counted[0]) {
		l.FoldTop = l.Zeroed[0]
		l.Zeroed = slices.Delete(l.Zeroed, 0, 1)
		return false
	}
	l.FoldTop = l.Counted[0]
	l.Counted = slices.Delete(l.Counted, 0, 1)
	l.Folded = saturatingAdd(l.Folded, 1)
	return true
}

// pass drops what a watermark that moved forward has read. It tells whether part of the folded
// mentions may be read now, which nobody knows.
func (l *Ledger) pass(watermark uint64) (short bool) {
	l.Counted = above(l.Counted, watermark)
	l.Zeroed = above(l.Zeroed, watermark)
	if watermark >= l.FoldTop {
		l.FoldTop, l.Folded = 0, 0
		return false
	}
	return l.Folded > 0
}

func (l *Ledger) zeroAll() {
	l.Zeroed = append(l.Zeroed, l.Counted...)
	slices.Sort(l.Zeroed)
	l.Counted, l.Folded = nil, 0
}

func (l *Ledger) mentions() uint32 {
	return saturatingAdd(uint32(len(l.Counted)), l.Folded)
}

func (l *Ledger) idle() bool {
	return len(l.Counted) == 0 && len(l.Zeroed) == 0 && l.FoldTop == 0 && l.Folded == 0
}

func above(ids []uint64, watermark uint64) []uint64 {
	place, found := slices.BinarySearch(ids, watermark)
	if found {
		place++
	}
	return slices.Delete(ids, 0, place)
}

func saturatingAdd(a, b uint32) uint32 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxUint32
}
