package recognise

// ibanLength is how many characters a country's IBAN has (the registry of ISO 13616).
var ibanLength = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24,
	"DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27,
	"GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
	"LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24,
	"PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25,
	"SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}

// iban finds an account number: country, check digits, and as many further characters as the country has, with single separators anywhere.
func iban(t []byte, i int) int {
	if i+4 > len(t) || !isLetter(t[i]) || !isLetter(t[i+1]) || t[i] == letter || t[i+1] == letter {
		return 0
	}
	want := ibanLength[string([]byte{upper(t[i]), upper(t[i+1])})]
	if want == 0 {
		return 0
	}
	var all [34]byte
	n, j := 0, i
	for ; j < len(t) && n < want; j++ {
		switch c := t[j]; {
		case isDigit(c) || isLetter(c) && c != letter:
			if (n == 2 || n == 3) && !isDigit(c) {
				return 0
			}
			all[n] = upper(c)
			n++
		case n < 4 && n != 2, !isSeparator(c) || isSeparator(t[j-1]):
			return 0
		}
	}
	if n < want || j < len(t) && isWord(t[j]) || mod97(all[:n]) != 1 {
		return 0
	}
	return j
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// mod97 is the rest of ISO 7064, mod 97-10, of an IBAN: its first four characters come last, a letter counts as two digits.
func mod97(all []byte) int {
	rest := 0
	for k := range all {
		c := all[(k+4)%len(all)]
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return rest
}
