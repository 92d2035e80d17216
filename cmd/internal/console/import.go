package console

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer"
)

type importCmd struct {
	Format         string   `required:"" enum:"botframework,cdr,cloudevents,mail,openai,oubli,rasa" placeholder:"FORMAT" help:"botframework, cdr, cloudevents, mail, openai, oubli (one event a line, as for append) or rasa."`
	Bot            string   `placeholder:"NAME" help:"The bot whose conversations these are; required unless the token names it or the file does."`
	Identity       string   `placeholder:"NS:ID" help:"Whose conversations these are, where the file does not say. It wins over what the file says."`
	Conversation   string   `placeholder:"ID" help:"Name of the conversation, where the file does not say."`
	Channel        string   `placeholder:"NAME" help:"Channel, where the file does not say."`
	Language       string   `placeholder:"CODE" help:"Language, where the file does not say."`
	Own            []string `placeholder:"ADDRESS" help:"An address or number of the bot's own: it tells who wrote or called (mail, cdr)."`
	Staff          []string `placeholder:"ADDRESS" help:"An address of somebody who answers in the bot's place (mail)."`
	StatusHeader   string   `placeholder:"HEADER" help:"The header that says draft or sent (mail)."`
	ApproverHeader string   `placeholder:"HEADER" help:"The header that names who approved (mail)."`
	Region         string   `placeholder:"COUNTRY" help:"Country of numbers in national form, as in FR (cdr)."`
	Zone           string   `placeholder:"ZONE" help:"Time zone of the file, as in Europe/Paris; UTC if none is said (cdr)."`
	KeepOld        bool     `name:"keep-old" help:"Import events also of months that the tenant keeps no more; they expire with the next run of retention."`
	Paths          []string `arg:"" name:"path" help:"Files and directories; - : standard input."`
}

// Run reads every file and stores its events. What is refused is named and counted; the rest is stored.
func (c importCmd) Run(e *env) error {
	options := importer.Options{Bot: eventstore.BotID(c.Bot), Conversation: eventstore.ConversationID(c.Conversation), Channel: c.Channel, Language: c.Language,
		Own: c.Own, Staff: c.Staff, StatusHeader: c.StatusHeader, ApproverHeader: c.ApproverHeader, Region: c.Region}
	var err error
	if options.Zone, err = importer.Zone(c.Zone); err != nil {
		return err
	}
	if err := options.Check(); err != nil {
		return err
	}
	if c.Identity != "" {
		id, err := who{Identity: c.Identity}.identity(e)
		if err != nil {
			return err
		}
		options.Identity = &id
	}
	read, ok := importer.Open(c.Format)
	if !ok {
		return usage("no such format; there are " + strings.Join(importer.Formats(), ", "))
	}
	files, total, err := c.files()
	if err != nil {
		return err
	}
	cl, err := e.clientFor(c.KeepOld)
	if err != nil {
		return err
	}
	defer cl.Close()
	s := &sender{e: e, client: cl, leaveOld: true}
	bar := e.progress(total, "importing", true)
	defer bar.Done()
	for _, name := range files {
		if err := importFile(e, s, name, read, options, bar); err != nil {
			return err
		}
		s.counts.Files++
	}
	bar.Done()
	return s.finish()
}

func importFile(e *env, s *sender, name string, read importer.Format, o importer.Options, bar *progress) error {
	in := io.Reader(e.in)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	var n importer.Counts
	err := s.send(name, numbered(s, read(counting{in, bar}, o, &n)))
	for _, skipped := range n.Skipped {
		s.counts.Skipped += skipped
	}
	for _, cut := range n.Cut {
		s.counts.Cut += cut
	}
	return err
}

// numbered gives the sender events and tells it where in the input each stands.
func numbered(s *sender, items iter.Seq2[importer.Item, error]) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for item, err := range items {
			if _, own := errors.AsType[*eventstore.Problem](err); err != nil && !own {
				err = fatal{err}
			}
			s.line = item.At.Line
			if !yield(item.Event, err) {
				return
			}
		}
	}
}

// counting moves the bar as the input is read.
type counting struct {
	io.Reader
	bar *progress
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bar.Add(n)
	return n, err
}

// suffixes are the names of a format's files, looked for in directories.
var suffixes = map[string][]string{
	"botframework": {".transcript", ".json"},
	"cdr":          {".csv"},
	"cloudevents":  {".json", ".jsonl", ".ndjson"},
	"mail":         {".eml", ".mbox", ".raw"},
	"oubli":        {".ndjson", ".jsonl"},
	"openai":       {".json", ".jsonl", ".ndjson"},
	"rasa":         {".json", ".jsonl", ".ndjson"},
}

// files lists what to read, directories searched in the order of their names, and its size; -1 if it is not known.
func (c importCmd) files() (files []string, total int64, err error) {
	for _, path := range c.Paths {
		if path == "-" {
			files, total = append(files, path), -1
			continue
		}
		found := len(files)
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if name != path && !slices.Contains(suffixes[c.Format], strings.ToLower(filepath.Ext(name))) {
				return nil
			}
			info, err := os.Stat(name)
			if err != nil || !info.Mode().IsRegular() && name != path {
				return err
			}
			files = append(files, name)
			if total >= 0 {
				total += info.Size()
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
		if len(files) == found {
			return nil, 0, fmt.Errorf("%s holds no file of this format (%s)", clean(path, false), strings.Join(suffixes[c.Format], ", "))
		}
	}
	return files, total, nil
}
