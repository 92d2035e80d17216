package recognise

import "net/netip"

// ip finds an IPv4 or IPv6 address.
func ip(t []byte, i int) int {
	end, dots, colons := i, 0, 0
	for ; end < len(t) && end-i < 45; end++ {
		switch c := t[end]; {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f'):
			return address(t, i, end, dots, colons)
		}
	}
	return address(t, i, end, dots, colons)
}

// address reads t[i:end], but for punctuation at its end.
func address(t []byte, i, end, dots, colons int) int {
	if dots < 3 && colons < 2 || end < len(t) && isWord(t[end]) {
		return 0
	}
	for end > i && (t[end-1] == '.' || t[end-1] == ':' && (end-i < 2 || t[end-2] != ':')) {
		end--
	}
	if a, err := netip.ParseAddr(string(t[i:end])); err != nil || a.IsUnspecified() {
		return 0
	}
	return end
}
