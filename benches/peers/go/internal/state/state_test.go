package state

import (
	"math"
	"testing"
)

func existing() State { return State{Version: 1} }

func check(t *testing.T, s State, acked uint64, mentions uint32, inexact bool) {
	t.Helper()
	if s.LastAckedID != acked || s.MentionCount != mentions || s.Inexact != inexact {
		t.Fatalf("%+v is not acked to %d with %d mentions", s, acked, mentions)
	}
}

func TestAMentionCountsOnceAndOnlyAboveTheWatermark(t *testing.T) {
	s := existing()
	for _, message := range []uint64{10, 20, 30, 20} {
		s.Mention(message, nil)
	}
	check(t, s, 0, 3, false)
	if !s.Ack(20, nil, nil) {
		t.Fatal("an ack of the middle changes the state")
	}
	check(t, s, 20, 1, false)
	if outcome, changed := s.Mention(15, nil); outcome != AlreadyRead || changed {
		t.Fatalf("a late mention is %v", outcome)
	}
	if outcome, _ := s.Mention(30, nil); outcome != Duplicate {
		t.Fatalf("a retry is %v", outcome)
	}
	if s.Ack(19, nil, nil) || !s.Ack(30, nil, nil) || s.Ledger() != nil {
		t.Fatal("acks go forward only, and the last one leaves no ledger")
	}
}

func TestAFullLedgerFoldsItsLowestIds(t *testing.T) {
	s := existing()
	for message := range uint64(LedgerMax + 2) {
		s.Mention(message+1, nil)
	}
	check(t, s, 0, LedgerMax+2, true)
	if outcome, _ := s.Mention(2, nil); outcome != Duplicate {
		t.Fatalf("a folded id is %v", outcome)
	}
	s.Ack(1, nil, nil)
	check(t, s, 1, LedgerMax+2, true)
	s.Ack(2, nil, nil)
	check(t, s, 2, LedgerMax, false)
}

func TestAResetRemembersWhatItTookAway(t *testing.T) {
	s := existing()
	s.Mention(10, nil)
	s.Increment(5, nil)
	if !s.Reset() || s.Reset() {
		t.Fatal("the first reset changes the state, the second does not")
	}
	check(t, s, 0, 0, false)
	if outcome, _ := s.Mention(10, nil); outcome != Duplicate {
		t.Fatalf("a retry after a reset is %v", outcome)
	}
}

func TestCountsSaturate(t *testing.T) {
	s := existing()
	s.Increment(math.MaxUint32, nil)
	s.Mention(10, nil)
	check(t, s, 0, math.MaxUint32, false)
	if s.Increment(1, nil) {
		t.Fatal("a full count takes no more")
	}
}

func TestAFirstMentionStartsWhereItIsTold(t *testing.T) {
	var s State
	initial := uint64(10)
	if outcome, changed := s.Mention(10, &initial); outcome != AlreadyRead || !changed {
		t.Fatalf("a mention at the start is %v", outcome)
	}
	check(t, s, 10, 0, false)
}
