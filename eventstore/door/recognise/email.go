package recognise

// email finds an address around the @ at i.
func email(t []byte, i int) (from, to int) {
	from = i
	for from > 0 && i-from < 64 && isLocal(t[from-1]) {
		from--
	}
	for from < i && (t[from] == '.' || t[from] == '-' || t[from] == '\'') {
		from++
	}
	if from == i || t[i-1] == '.' {
		return 0, 0
	}
	end, label, dots := i+1, 0, 0
	for j := i + 1; j < len(t) && j-i < 255; j++ {
		switch c := t[j]; {
		case isLetter(c) || isDigit(c):
			label++
			if dots > 0 && label >= 2 && isLetter(c) {
				end = j + 1
			}
		case c == '-' && label > 0:
			label++
		case c == '.' && label > 0:
			dots, label = dots+1, 0
		default:
			return domain(t, from, i, end)
		}
	}
	return domain(t, from, i, end)
}

// domain ends an address, unless nothing behind the @ was a domain.
func domain(t []byte, from, at, end int) (int, int) {
	if end == at+1 {
		return 0, 0
	}
	for end < len(t) && (isLetter(t[end]) || isDigit(t[end])) { // a last label with a digit in it
		end++
	}
	return from, end
}

func isLocal(c byte) bool {
	if isLetter(c) || isDigit(c) {
		return true
	}
	switch c {
	case '.', '_', '-', '+', '%', '\'', '!', '#', '$', '&', '*', '/', '=', '?', '^', '{', '|', '}', '~', '`':
		return true
	}
	return false
}
