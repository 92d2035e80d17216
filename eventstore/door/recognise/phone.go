package recognise

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// region is a country whose national numbers are recognised. What a number can look like there is read off the library's examples first: most runs of
// digits are no phone numbers, and asking the library is dear.
type region struct {
	code    string
	lengths [mostPhone + 1]bool
	firsts  string
}

var phoneTypes = []phonenumbers.PhoneNumberType{
	phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE, phonenumbers.TOLL_FREE, phonenumbers.PREMIUM_RATE,
	phonenumbers.SHARED_COST, phonenumbers.VOIP, phonenumbers.PERSONAL_NUMBER, phonenumbers.UAN,
}

func newRegion(code string) region {
	r := region{code: code}
	trunk := true
	for _, kind := range phoneTypes {
		example := phonenumbers.GetExampleNumberForType(code, kind)
		if example == nil {
			continue
		}
		digits := onlyDigits(phonenumbers.Format(example, phonenumbers.NATIONAL))
		if n := len(digits); n >= leastPhone && n <= mostPhone {
			r.lengths[n] = true
			trunk = trunk && digits[0] == '0'
		}
	}
	if trunk {
		r.firsts = "0"
	}
	return r
}

func onlyDigits(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, s)
}

// holds says whether digits are a valid national number. A bare run of digits without a trunk prefix may be anything.
func (r *region) holds(digits string, grouped bool) bool {
	if !r.lengths[len(digits)] || r.firsts != "" && digits[0] != r.firsts[0] || !grouped && digits[0] != '0' {
		return false
	}
	return valid(digits, r.code)
}

func valid(number, region string) bool {
	n, err := phonenumbers.Parse(number, region)
	return err == nil && phonenumbers.IsValidNumber(n)
}

// phone finds a phone number: one that is written as an international number, or that is valid in one of the regions.
func (f *Finder) phone(t []byte, i int) int {
	p := readPhone(t, i)
	if p.international {
		return p.longest(func(digits string, _ bool) bool { return valid("+"+digits, "ZZ") })
	}
	for k := range f.regions {
		if end := p.longest(f.regions[k].holds); end > 0 {
			return end
		}
	}
	return 0
}

const (
	leastPhone = 7
	mostPhone  = 15
)

// phoneText is what may be a phone number.
type phoneText struct {
	international bool
	n             int
	digits        [mostPhone]byte
	// ends[k] is the place behind the k-th digit if a group ends there, else 0; gaps[k] how many separations stand before.
	ends, gaps [mostPhone + 1]int
}

// readPhone reads digits with separations between them, behind + or 00.
func readPhone(t []byte, i int) (p phoneText) {
	gap, gaps := 0, 0
	for j := i; j < len(t) && gap <= 3; j++ {
		c := t[j]
		switch {
		case c == '+' && j == i:
			p.international = true
		case isDigit(c):
			if p.n == mostPhone {
				return p
			}
			if gap > 0 && p.n > 0 {
				gaps++
			}
			p.digits[p.n], gap = c, 0
			p.n++
			if !p.international && p.n == 2 && p.digits[0] == '0' && p.digits[1] == '0' {
				p.international, p.n = true, 0
				continue
			}
			if j+1 == len(t) || !isWord(t[j+1]) {
				p.ends[p.n], p.gaps[p.n] = j+1, gaps
			}
		case c == '(' || c == ')' || c == ' ' || gap == 0 && isSeparator(c):
			gap++
		default:
			return p
		}
	}
	return p
}

// longest is the end of the longest beginning that is accepted, 0 if there is none.
func (p *phoneText) longest(accepted func(digits string, grouped bool) bool) int {
	for n := p.n; n >= leastPhone; n-- {
		if p.ends[n] > 0 && accepted(string(p.digits[:n]), p.gaps[n] > 0) {
			return p.ends[n]
		}
	}
	return 0
}
