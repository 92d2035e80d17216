package recognise

// Kind is what was found.
type Kind uint8

// The kinds, in the order in which one wins over another that begins at the same place.
const (
	Email Kind = iota
	IBAN
	NIR
	Card
	SIRET
	Phone
	IP
	kinds
)

var names = [kinds]string{Email: "email", IBAN: "iban", NIR: "nir", Card: "card", SIRET: "siret", Phone: "phone", IP: "ip"}

// String is the kind's name, as settings and masks have it.
func (k Kind) String() string { return names[k] }

// Kinds lists all kinds.
func Kinds() []Kind {
	out := make([]Kind, kinds)
	for i := range out {
		out[i] = Kind(i)
	}
	return out
}

// ParseKind reads a name. ok is false for any other text.
func ParseKind(name string) (k Kind, ok bool) {
	for i, n := range names {
		if n == name {
			return Kind(i), true
		}
	}
	return 0, false
}

// Set is a set of kinds.
type Set uint8

// Of is the set of some kinds.
func Of(all ...Kind) (s Set) {
	for _, k := range all {
		s |= 1 << k
	}
	return s
}

// All holds every kind.
const All Set = 1<<kinds - 1

// Has says whether a kind is in the set.
func (s Set) Has(k Kind) bool { return s&(1<<k) != 0 }

// Span is a place in a text, in bytes, end exclusive.
type Span struct {
	Kind       Kind
	Start, End int
}
