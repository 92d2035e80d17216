package mail

import "testing"

func TestCut(t *testing.T) {
	for _, c := range []struct {
		name, in, text    string
		quoted, signature int
	}{
		{"nothing", "Bonjour,\n\nmerci.", "Bonjour,\n\nmerci.", 0, 0},
		{"french", "Oui.\n\nLe 5 janv. 2026 à 10:00, Shop <shop@example.com> a écrit :\n\nAlors ?\n\nBien à vous", "Oui.", 3, 0},
		{"french, broken over lines", "Oui.\n\nLe lundi 5 janvier 2026 à 10:00,\nShop de la rue <shop@example.com>\na écrit\u00a0:\n> Alors ?", "Oui.", 4, 0},
		{"english", "Yes.\n\nOn Mon, Jan 5, 2026 at 10:00 AM Shop <shop@example.com> wrote:\n> Well?\n> Shop", "Yes.", 3, 0},
		{"answers between", "On Jan 5, Shop wrote:\n> Red?\nYes.\n> Blue?\nNo.", "Yes.\nNo.", 3, 0},
		{"outlook, french", "Oui.\n\n________________________________\nDe : Shop <shop@example.com>\nEnvoyé : lundi\nÀ : a@example.org\nObjet : colis\n\nAlors ?", "Oui.", 5, 0},
		{"outlook, english", "Yes.\n\nFrom: Shop\nSent: Monday\nTo: a\nSubject: parcel\n\nWell?", "Yes.", 5, 0},
		{"bold headers", "Oui.\n\n*De :* Shop\n*Envoyé :* lundi\n*À :* a\n\nAlors ?", "Oui.", 4, 0},
		{"divider", "Oui.\n\n-----Message d'origine-----\nDe : Shop\nAlors ?", "Oui.", 3, 0},
		{"divider, other quote", "Oui.\n-----Message d’origine-----\nAlors ?", "Oui.", 2, 0},
		{"forwarded", "See below.\n\n---------- Forwarded message ---------\nFrom: b", "See below.", 2, 0},
		{"original", "Yes.\n\n----- Original Message -----\nWell?", "Yes.", 2, 0},
		{"signature", "Yes.\n-- \nCamille\n12, rue des Lilas", "Yes.", 0, 3},
		{"signature above the quotation", "Yes.\n\n-- \nCamille\n\nOn Jan 5, 2026, Shop wrote:\n> Well?", "Yes.", 2, 2},
		{"device", "Oui.\n\nEnvoyé de mon iPhone", "Oui.", 0, 1},
		{"device, english", "Yes.\n\nSent from my phone\n> Well?", "Yes.", 1, 1},
		{"only a quotation", "> Well?", "", 1, 0},
		// What looks like it and is not.
		{"a sentence", "Le colis que ma mère a écrit : rien.", "Le colis que ma mère a écrit : rien.", 0, 0},
		{"a sender alone", "De : Paris\nje pars demain.", "De : Paris\nje pars demain.", 0, 0},
		{"a line of dashes", "Un.\n--\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11", "Un.\n--\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11", 0, 0},
		{"a phone in a sentence", "Envoyé de mon iPhone, le mail n'arrive pas.\nPourquoi ?", "Envoyé de mon iPhone, le mail n'arrive pas.\nPourquoi ?", 0, 0},
	} {
		if o := cut(c.in); o.text != c.text || o.quoted != c.quoted || o.signature != c.signature {
			t.Errorf("%s: %q, %d quoted, %d of signature; want %q, %d, %d", c.name, o.text, o.quoted, o.signature, c.text, c.quoted, c.signature)
		}
	}
}
