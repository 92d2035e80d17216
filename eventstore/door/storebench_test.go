package door_test

import (
	"strconv"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/eventstore/storetest"
)

const prose = "Bonjour, je vous écris parce que ma commande n'est toujours pas arrivée alors que le suivi indique qu'elle a été livrée mardi " +
	"dernier à mon adresse. J'ai demandé à mes voisins et au gardien, personne n'a vu le colis. Pouvez-vous me dire qui a signé le bon de " +
	"livraison, et me renvoyer les articles manquants, ou me rembourser si ce n'est pas possible ? Je pars en vacances vendredi et j'aimerais " +
	"avoir une réponse avant. Merci d'avance pour votre aide, bien cordialement. P.-S. : on me joint les soirs."

// BenchmarkStoreAppend is what the store itself does for an event of 512 bytes of prose: everything but the vault, the disk and the stream.
func BenchmarkStoreAppend(b *testing.B) {
	keys, log := keystest.New(), logtest.New()
	if err := keys.CreateTenant(b.Context(), storetest.Tenant); err != nil {
		b.Fatal(err)
	}
	s := eventstore.New(eventstore.Config{Keys: keys, Log: log, Door: door.New(door.Rules{})})
	if err := s.Open(b.Context(), storetest.Tenant, true); err != nil {
		b.Fatal(err)
	}
	caller := eventstore.Caller{Tenant: storetest.Tenant, Bot: "shop-fr"}
	e := storetest.Message("v", prose)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Key = strconv.Itoa(i)
		if _, err := s.Append(b.Context(), caller, e); err != nil {
			b.Fatal(err)
		}
	}
}
