package sample

// Languages, as indexes.
const (
	french = iota
	english
)

var languageTags = [2]string{"fr", "en"}

// Names, things and places. All persons are invented.
var (
	firstNames = [2][]string{
		{"Camille", "Léa", "Hélène", "Noémie", "Zoé", "Aïcha", "Inès", "Maëlle", "Élodie", "Françoise", "Chloé", "Jeanne", "Yasmine", "Agnès", "Solène",
			"Lucas", "Théo", "Jérôme", "Étienne", "Gaël", "Mathéo", "Rémi", "Karim", "Loïc", "Benoît", "Adrien", "François", "Idriss", "Clément", "Raphaël"},
		{"Amelia", "Olivia", "Grace", "Priya", "Hannah", "Niamh", "Zara", "Eleanor", "Chloe", "Imogen", "Ruth", "Freya", "Aisha", "Megan", "Siobhán",
			"Oliver", "Harry", "Callum", "Dylan", "Tariq", "Rhys", "Edward", "Finn", "Arjun", "Samuel", "Liam", "Hugh", "Kwame", "Owen", "Patrick"},
	}
	lastNames = [2][]string{
		{"Moreau", "Lefèvre", "Bérenger", "Roussel", "Garnier", "Faure", "Benali", "Chevallier", "Desprès", "Gauthier", "Masson", "Perrin", "Le Goff", "Marchand",
			"Diallo", "Renaud", "Guérin", "Bourgeois", "Lemaître", "Vasseur", "Prévost", "Aubry", "Haddad", "Collet", "Hervé", "Joly", "Delmas", "Côté", "Fontaine", "Nguyen"},
		{"Ashworth", "Bennett", "Carter", "Doyle", "Ellison", "Fletcher", "Gallagher", "Hughes", "Iqbal", "Jennings", "Kerr", "Lawson", "Mehta", "Norris",
			"O'Brien", "Pritchard", "Quinn", "Reid", "Shah", "Thornton", "Underhill", "Vaughan", "Whitaker", "Yates", "Mensah", "Barrow", "Cole", "Dunmore", "Hale", "Winslow"},
	}
	items = [2][]string{
		{"la lampe Aurore", "le fauteuil Brume", "la théière en fonte", "le sac à dos Cévennes", "la paire de bottines Garance", "le casque Écho", "la couverture en laine",
			"le vélo d'appartement", "la cafetière Nocturne", "le tapis Océan", "la montre Méridien", "le manteau d'hiver"},
		{"the Aurora lamp", "the Mist armchair", "the cast-iron teapot", "the Fell backpack", "the pair of Garnet boots", "the Echo headset", "the wool blanket",
			"the exercise bike", "the Nocturne coffee maker", "the Ocean rug", "the Meridian watch", "the winter coat"},
	}
	cities = [2][]string{
		{"Lyon", "Nantes", "Besançon", "Saint-Étienne", "Lille", "Orléans", "Nîmes", "Rennes", "Montréal", "Angoulême", "Toulouse", "Grenoble"},
		{"Leeds", "Bristol", "Cardiff", "Edinburgh", "Norwich", "Brighton", "Belfast", "York", "Manchester", "Exeter", "Glasgow", "Dublin"},
	}
	dates = [2][]string{
		{"lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
		{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
	}
	clocks = [2][]string{
		{"9 h", "10 h 30", "11 h", "14 h", "15 h 30", "17 h", "18 h"},
		{"9 am", "10.30 am", "11 am", "2 pm", "3.30 pm", "5 pm", "6 pm"},
	}
	amounts = [2][]string{
		{"19,90 €", "24,50 €", "39 €", "49,90 €", "64 €", "79,90 €", "119 €", "210 €"},
		{"£17.50", "£24.00", "£35", "£49.99", "£62", "£79.90", "£115", "£199"},
	}
	agents = [2][]string{
		{"Sandrine", "Mehdi", "Clotilde", "Jean-Marc", "Aurélie", "Bastien"},
		{"Fiona", "Gareth", "Anita", "Tom", "Bridget", "Marcus"},
	}
	puzzles = [2][]string{
		{"heu c pas ça", "le truc là vous savez", "???", "non mais l'autre", "comme la dernière fois svp", "ça remarche plus du tout kdo"},
		{"erm not that one", "the thing, you know", "???", "no the other", "same as last time pls", "its doing it again innit"},
	}
	sorries = [2][]string{
		{"Pardon, je n'ai pas compris. Pouvez-vous le dire autrement ?", "Désolé, je n'ai pas saisi. De quelle commande s'agit-il ?"},
		{"Sorry, I didn't get that. Could you put it another way?", "I'm afraid I didn't understand. Which order is it about?"},
	}
	domains = [2][]string{{"example.fr", "example.org", "example.com"}, {"example.com", "example.org", "example.net"}}
)

// bots says who answers on a channel.
var bots = [2]map[string]string{
	{"web": "boutique-fr", "whatsapp": "boutique-fr", "messenger": "boutique-fr", "email": "courrier-fr", "voice": "voix-fr"},
	{"web": "shop-en", "whatsapp": "shop-en", "messenger": "shop-en", "email": "mail-en", "voice": "voice-en"},
}

// The beginnings of the telephone numbers that regulators keep for fiction, and how many digits follow.
var (
	frenchNumbers  = []string{"+3319900", "+3326191", "+3335301", "+3346571", "+3353649"} // 10,000 each
	englishNumbers = []string{"+442079460", "+441214960", "+441314960", "+441144960", "+441164960", "+441174960", "+441184960", "+441134960", "+441414960",
		"+441514960", "+441614960", "+441914980"} // 1,000 each
)
