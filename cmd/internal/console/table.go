package console

import (
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// table is aligned text. Cells are made harmless and measured as a terminal shows them: accents, wide characters and emoji included.
type table struct {
	head []string
	rows [][]string
	// right says which columns are aligned to the right: numbers.
	right map[int]bool
	// raw says which columns are printed as they are: bars.
	raw map[int]bool
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the table; indent precedes every line.
func (t *table) print(w io.Writer, indent string) error {
	widths := make([]int, 0, len(t.head))
	rows := t.rows
	if len(t.head) > 0 {
		rows = append([][]string{t.head}, rows...)
	}
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(t.cell(i, cell)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			cell = t.cell(i, cell)
			fill := strings.Repeat(" ", widths[i]-width(cell))
			if t.right[i] {
				line += fill + cell
			} else {
				line += cell + fill
			}
			line += "  "
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) cell(i int, text string) string {
	if t.raw[i] {
		return text
	}
	return clean(text, false)
}

func width(s string) int { return uniseg.StringWidth(s) }

// bar is a horizontal bar for value, full at most.
func bar(value, most float64, cells int) string {
	if most <= 0 || value <= 0 {
		return ""
	}
	eighths := max(1, int(value/most*float64(cells)*8+0.5))
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s
}

// spark is a row of small columns, one for each value: for histograms.
func spark(values []float64) string {
	var most float64
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		switch {
		case most == 0 || v <= 0:
			b.WriteRune('·')
		default:
			b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(7, int(v/most*8))])
		}
	}
	return b.String()
}
