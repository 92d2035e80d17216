package recognise

// groups reads digits from i on that stand alone or in groups, at most limit of them, and says after how many of them a group ends.
type groups struct {
	digits [24]byte
	n      int
	// ends[k] is the place behind the k-th digit if a group ends there, else 0.
	ends [25]int
}

// read collects digits. Between two of them there is at most one separator, or a separator and a space.
func (g *groups) read(t []byte, i, limit int) {
	for j := i; j < len(t) && g.n < limit; {
		if !isDigit(t[j]) {
			return
		}
		g.digits[g.n] = t[j]
		g.n++
		j++
		if j == len(t) || !isWord(t[j]) {
			g.ends[g.n] = j
			k := j
			for k < len(t) && k-j < 2 && isSeparator(t[k]) {
				k++
			}
			j = k
		}
	}
}

func isSeparator(c byte) bool { return c == ' ' || c == '.' || c == '-' || c == '/' || c == other }

// luhn checks the check digit of ISO/IEC 7812-1, annex B.
func luhn(digits []byte) bool {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// card finds the number of a payment card.
func card(t []byte, i int) int {
	if t[i] < '2' || t[i] > '6' {
		return 0
	}
	var g groups
	g.read(t, i, 19)
	for n := g.n; n >= 13; n-- {
		if g.ends[n] > 0 && issued(g.digits[:n]) && luhn(g.digits[:n]) {
			return g.ends[n]
		}
	}
	return 0
}

// issued says whether a number lies in a range that is issued, and has a length that is usual there.
func issued(d []byte) bool {
	four := number(d[:4])
	two := four / 100
	n := len(d)
	switch {
	case d[0] == '4':
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720:
		return n == 16
	case two == 34 || two == 37:
		return n == 15
	case two == 36 || two == 38 || two == 39 || four >= 3000 && four <= 3059 || four >= 3090 && four <= 3099:
		return n >= 14
	case four >= 3528 && four <= 3589:
		return n >= 16
	case two == 62 || two == 65 || two == 64 || four == 6011:
		return n >= 16
	case two == 50 || two >= 56 && two <= 58 || two == 60 || two == 61 || two == 63 || two == 66 || two == 67 || two == 68 || two == 69:
		return true // Maestro and domestic schemes
	}
	return false
}

func number(digits []byte) (n int) {
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	return n
}

// siret finds the number of a French establishment.
func siret(t []byte, i int) int {
	if !isDigit(t[i]) {
		return 0
	}
	var g groups
	g.read(t, i, 14)
	if g.n < 14 || g.ends[14] == 0 {
		return 0
	}
	d := g.digits[:14]
	if number(d) == 0 || !luhn(d) && !laPoste(d) {
		return 0
	}
	return g.ends[14]
}

// laPoste: the establishments of SIREN 356000000 have a sum of digits that is a multiple of five instead.
func laPoste(d []byte) bool {
	sum := 0
	for _, c := range d {
		sum += int(c - '0')
	}
	return string(d[:9]) == "356000000" && sum%5 == 0
}

// nir finds a French social security number with its key: 13 characters and two, the key being 97 less the rest of the 13 by 97.
func nir(t []byte, i int) int {
	if c := t[i]; c != '1' && c != '2' && c != '3' && c != '4' && c != '7' && c != '8' {
		return 0
	}
	var d [15]byte
	n, corsica := 0, int64(0)
	j := i
	for ; j < len(t) && n < len(d); j++ {
		switch c := t[j]; {
		case isDigit(c):
			d[n] = c
			n++
		case n == 6 && d[5] == '2' && (c|0x20 == 'a' || c|0x20 == 'b'): // départements 2A and 2B
			corsica = map[byte]int64{'a': 1_000_000, 'b': 2_000_000}[c|0x20]
			d[n] = '0'
			n++
		case !isSeparator(c) || n == 0 || isSeparator(t[j-1]) && t[j-1] != ' ':
			return 0
		}
	}
	if n < len(d) || j < len(t) && isWord(t[j]) {
		return 0
	}
	if month := number(d[3:5]); month == 0 || month > 12 && month < 20 || month > 42 && month < 50 {
		return 0
	}
	body := int64(number(d[:13])) - corsica
	if 97-body%97 != int64(number(d[13:])) {
		return 0
	}
	return j
}
