package mail

import (
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/importertest"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// ours reads with the options of a mailbox.
func ours(r io.Reader, _ record.Options, counts *record.Counts) iter.Seq2[record.Item, error] {
	return Read(r, record.Options{Own: []string{"Shop@example.com", "archive@example.com"}, Staff: []string{"dominique@example.com"},
		StatusHeader: "X-Review-Status", ApproverHeader: "x-review-by"}, counts)
}

func TestGolden(t *testing.T) { importertest.Golden(t, ours) }
func TestRobust(t *testing.T) { importertest.Robust(t, ours) }
func FuzzRead(f *testing.F)   { importertest.Fuzz(f, ours) }

// one reads one mail without errors.
func one(t *testing.T, in string) eventstore.Event {
	t.Helper()
	for item, err := range Read(strings.NewReader(in), record.Options{}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		return item.Event
	}
	t.Fatal("nothing was read")
	return eventstore.Event{}
}

const head = "From: a@example.org\nDate: Mon, 5 Jan 2026 09:00:00 +0100\nMessage-ID: <1@example.org>\nMIME-Version: 1.0\n"

// A Message-ID that is used twice keeps both mails; the same mail with other line ends, or out of an mbox, is the same.
func TestKeys(t *testing.T) {
	mail := head + "\nFrom here on\n"
	first := one(t, mail)
	if e := one(t, strings.ReplaceAll(mail, "\n", "\r\n")); e.Key != first.Key {
		t.Error("other line ends give another key")
	}
	if e := one(t, "From a@example.org Mon Jan  5 09:00:00 2026\n"+head+"X-Folder: two\n\n>From here on\n"); e.Key != first.Key || e.Text != first.Text {
		t.Error("the same mail out of an mbox has another key or text")
	}
	for _, other := range []string{head + "\nFrom there on\n", strings.Replace(mail, "9:00", "9:01", 1), strings.Replace(mail, "<1", "<2", 1), strings.Replace(mail, "a@", "b@", 1)} {
		if one(t, other).Key == first.Key {
			t.Error("another mail has the same key")
		}
	}
	bare := "From x Mon Jan  5 09:00:00 2026\nFrom: a@example.org\n\nHello\n\n"
	keys := map[string]bool{}
	for item, err := range Read(strings.NewReader(bare+bare), record.Options{}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		keys[item.Event.Key] = true
	}
	if len(keys) != 2 {
		t.Error("mails without id and date are not numbered")
	}
}

// Anyone can send a header, and a mail from elsewhere is never a draft of ours.
func TestHeadersOfOthers(t *testing.T) {
	in := "From: a@example.org\nTo: shop@example.com\nX-Review-Status: sent\nX-Review-By: Dominique\n\nHello\n"
	for item, err := range ours(strings.NewReader(in), record.Options{}, nil) {
		if e := item.Event; err != nil || e.Status != "" || e.Approver != "" || e.Author != eventstore.AuthorUser {
			t.Errorf("%v, status %q of a mail from elsewhere", err, e.Status)
		}
	}
}

func TestMboxPositions(t *testing.T) {
	in := "From x Mon Jan  5 09:00:00 2026\n" + head + "\nOne\nFrom x Mon Jan  5 09:00:00 2026\n\nFrom now on, no separator\n\n" +
		"From y Mon Jan  5 09:00:01 2026\n\nno header\n\nFrom z Mon Jan  5 09:00:02 2026\nSubject: two\n\nTwo\n"
	var lines []int
	var texts []string
	var failed error
	for item, err := range Read(strings.NewReader(in), record.Options{}, nil) {
		if err != nil {
			failed = err
			continue
		}
		lines, texts = append(lines, item.At.Line), append(texts, item.Event.Text)
	}
	var p *eventstore.Problem
	if !errors.As(failed, &p) || p.Line() != 12 || !errors.Is(failed, errNoMail) {
		t.Errorf("%v, want line 12", failed)
	}
	if len(texts) != 2 || lines[0] != 1 || lines[1] != 16 || !strings.HasSuffix(texts[0], "no separator") || texts[1] != "Two" {
		t.Errorf("texts %q in lines %v", texts, lines)
	}
}

// A mail that is too long costs itself only, and memory stays bounded.
func TestTooLong(t *testing.T) {
	long := io.MultiReader(strings.NewReader("From x Mon Jan  5 09:00:00 2026\n"+head+"\n"), io.LimitReader(zeros{}, record.MaxDocument+1),
		strings.NewReader("\n\nFrom y Mon Jan  5 09:00:01 2026\nSubject: two\n\nTwo\n"))
	events, refused := 0, 0
	for item, err := range Read(long, record.Options{}, nil) {
		switch {
		case errors.Is(err, errLong):
			refused++
		case err != nil || item.Event.Text != "Two":
			t.Errorf("%v", err)
		default:
			events++
		}
	}
	if events != 1 || refused != 1 {
		t.Errorf("%d events, %d refused", events, refused)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// Shapes that make careless readers take the square of their length: the test's deadline would tell.
func TestHostileShapes(t *testing.T) {
	n := 20_000
	nested := ""
	for range 500 {
		nested += "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	}
	for name, in := range map[string]string{
		"folds":      head + "Subject: a\n" + strings.Repeat(" b\n", n) + "\nx",
		"fields":     head + strings.Repeat("X: y\n", n) + "\nx",
		"flowed":     head + "Content-Type: text/plain; format=flowed\n\n" + strings.Repeat("a \n", n),
		"quotes":     head + "\n" + strings.Repeat("On 1 a\n", n),
		"attributed": head + "\n" + strings.Repeat("On 1 wrote:\n> a\n", n),
		"blocks":     head + "\n" + strings.Repeat("De : a\n", n),
		"boundaries": head + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n", n),
		"nested":     head + nested + "deep",
		"tags":       head + "Content-Type: text/html\n\n" + strings.Repeat("<blockquote><svg><li>", n),
		"open":       head + "Content-Type: text/html\n\n" + strings.Repeat("<", n) + strings.Repeat("<a b='", n),
		"signatures": head + "\n" + strings.Repeat("--\n", n),
		"addresses":  "From: " + strings.Repeat("<a@b.example>,", 10_000) + "\n\nx",
		"received":   strings.Repeat("Received: x; "+strings.Repeat("(", 50)+"\n", 999) + "\nx",
	} {
		t.Run(name, func(t *testing.T) { importertest.Check(t, ours, []byte(in)) })
	}
}
