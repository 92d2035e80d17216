package ledger_test

import (
	"context"
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

func Example() {
	ctx, tenant, log := context.Background(), eventstore.DefaultTenant, logtest.New()
	log.OpenRecords(ctx, tenant, eventstore.RecordsLedger, eventstore.VaultID{}, true)
	l := ledger.New(log)
	if err := l.Open(ctx, tenant); err != nil {
		panic(err)
	}
	n, _ := l.Record(ctx, tenant, eventstore.Entry{Act: eventstore.ActLookup, Token: "abc234", Role: eventstore.RoleDPO, Count: 1})
	l.Record(ctx, tenant, eventstore.Entry{Act: eventstore.ActErased, Token: "abc234", Role: eventstore.RoleDPO})

	proof, head, _ := l.ProveInclusion(tenant, n, 0)
	for r := range log.ReadRecords(ctx, tenant, eventstore.RecordsLedger, n) {
		fmt.Println("entry", n, "of", head.Size, "proved:", ledger.CheckInclusion(head, n, r.Data, proof) == nil)
		break
	}
	// Output: entry 1 of 2 proved: true
}
