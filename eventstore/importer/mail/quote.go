package mail

import (
	"regexp"
	"strings"
)

// own is what the writer of a mail wrote, and how much of it was cut off, in lines that are not empty.
type own struct {
	text      string
	quoted    int
	signature int
}

const maxAttribution = 400

var (
	// attribution introduces a quotation: "Le 5 janv. 2026 à 10:00, … a écrit :", "On Mon, … wrote:". It may be broken over lines.
	attribution = regexp.MustCompile(`(?i)^\W{0,3}(?:(?:le|on|am)\b.*[0-9].*\b(?:a écrit|wrote|schrieb)\b.{0,100}:|.*[0-9].*\b(?:a écrit|wrote)\s?:)\s*$`)
	opening     = regexp.MustCompile(`(?i)^\W{0,3}(?:le|on|am)\s`)
	// divider stands above a mail that is quoted or forwarded as a whole.
	divider = regexp.MustCompile(`(?i)^[\s>*_]*(?:-{2,}\s*(?:message d['’]origine|message original|message d['’]origine transmis|message transféré|original message|forwarded message|ursprüngliche nachricht)\s*-{2,}|(?:début du message (?:réexpédié|transféré)|begin forwarded message)\s?:)\s*$`)
	// from and further are lines of the block of headers that Outlook puts above a quotation.
	from    = regexp.MustCompile(`(?i)^[\s*]*(?:de|from|von)[\s*]*:[\s*]*\S`)
	further = regexp.MustCompile(`(?i)^[\s*]*(?:envoyé|sent|date|à|a|to|cc|objet|subject|gesendet|an|betreff)[\s*]*:`)
	rule    = regexp.MustCompile(`^[_\-=\s]{5,}$`)
	// device is the line that phones and their programs add.
	device = regexp.MustCompile(`(?i)^(?:envoyé (?:de|depuis|à partir de) (?:mon |ma |l['’]|outlook|yahoo|gmail|proton)|sent from (?:my |mail for|outlook|yahoo|proton)|get outlook for|télécharge[rz] outlook pour|obtenir outlook pour)`)
)

// maxBareSignature is how many lines may follow "--" without its space for them to be a signature.
const maxBareSignature = 10

// cut tells the writer's own words from quotations and the signature. A quotation that is marked line by line (">") is taken out
// where it stands, as answers may stand between; one that is not ends the mail.
func cut(text string) own {
	lines := strings.Split(strings.ReplaceAll(text, "\u00a0", " "), "\n")
	var o own
	kept := make([]string, 0, len(lines))
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), ">") {
			o.quoted++
			continue
		}
		if n := introduces(lines[i:]); n > 0 {
			if !marked(lines[i+n:]) {
				o.quoted += filled(lines[i:])
				break
			}
			o.quoted += n
			i += n - 1
			continue
		}
		if divider.MatchString(line) || block(lines[i:]) {
			for len(kept) > 0 && (strings.TrimSpace(kept[len(kept)-1]) == "" || rule.MatchString(kept[len(kept)-1])) {
				kept = kept[:len(kept)-1]
			}
			o.quoted += filled(lines[i:])
			break
		}
		kept = append(kept, line)
	}
	kept, o.signature = sign(kept)
	o.text = strings.TrimSpace(strings.Join(kept, "\n"))
	return o
}

// introduces says how many lines an attribution takes, at most three; 0 if there is none.
func introduces(lines []string) int {
	joined := ""
	for n := 0; n < 3 && n < len(lines); n++ {
		line := strings.TrimSpace(lines[n])
		if line == "" || n > 0 && line[0] == '>' || len(joined)+len(line) > maxAttribution {
			return 0
		}
		if n == 1 && !opening.MatchString(joined) {
			return 0 // only one that says so at its beginning is broken over lines
		}
		if joined = strings.TrimSpace(joined + " " + line); strings.HasSuffix(joined, ":") && attribution.MatchString(joined) {
			return n + 1
		}
	}
	return 0
}

// marked reports whether the next line that is not empty is marked as a quotation.
func marked(lines []string) bool {
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			return line[0] == '>'
		}
	}
	return false
}

// block reports whether lines begin with the headers of a mail: who from, and at least two more within the next six lines.
func block(lines []string) bool {
	if !from.MatchString(lines[0]) {
		return false
	}
	n := 0
	for _, line := range lines[1:min(len(lines), 7)] {
		if further.MatchString(line) {
			n++
		}
	}
	return n >= 2
}

// sign cuts off a signature and the line of a device, and counts their lines.
func sign(lines []string) (kept []string, n int) {
	for i, line := range lines {
		if line == "-- " || strings.TrimSpace(line) == "--" && short(lines[i:]) {
			n = filled(lines[i:])
			lines = lines[:i]
			break
		}
	}
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(lines[i]); line != "" {
			if device.MatchString(line) {
				return lines[:i], n + 1
			}
			break
		}
	}
	return lines, n
}

// short reports whether lines are few enough to be a signature. It looks at no more of them than that.
func short(lines []string) bool {
	n := 0
	for _, line := range lines {
		if strings.TrimSpace(line) != "" {
			n++
		}
		if n > maxBareSignature+1 {
			return false
		}
	}
	return true
}

// filled counts the lines that are not empty.
func filled(lines []string) (n int) {
	for _, line := range lines {
		if strings.TrimSpace(line) != "" {
			n++
		}
	}
	return n
}
