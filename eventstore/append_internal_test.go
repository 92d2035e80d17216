package eventstore

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLandings: a flight's wait ends by its own time and no more than landingGrain before, whoever it shares its deadline with.
func TestLandings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l landings
		var wg sync.WaitGroup
		contexts := map[any]bool{}
		for range 200 {
			until := time.Now().Add(gateHold)
			ctx := l.by(until)
			contexts[ctx] = true
			wg.Go(func() {
				<-ctx.Done()
				if early := time.Until(until); early < 0 || early > landingGrain {
					t.Errorf("a wait ended %v before its time", early)
				}
			})
			<-time.After(time.Millisecond)
		}
		if n := len(contexts); n < 5 || n > 10 {
			t.Errorf("200 flights in 200 ms shared %d deadlines", n)
		}
		late := l.by(time.Now().Add(gateHold))
		early := time.Now().Add(gateHold - 20*time.Millisecond) // one that was held up on its way here
		if at, _ := l.by(early).Deadline(); at.After(early) {
			t.Errorf("a flight waits until %v, longer than until %v", at, early)
		}
		<-late.Done()
		wg.Wait()
	})
}
