package console

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// helpWidth is where help texts are broken.
const helpWidth = 100

// help prints the help of the selected command, or the overview. It stands in for kong's printer, which knows one language and no examples.
func (e *env) help(_ kong.HelpOptions, c *kong.Context) error {
	node := c.Selected()
	if node == nil {
		node = c.Model.Node
		if last := c.Path[len(c.Path)-1].Node(); last != nil {
			node = last
		}
	}
	l := e.lang.of(commandPath(node))
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n\n", l.say("usage"), usageLine(node, l))
	paragraph(&b, node.Help)
	if key := "more" + key(node); catalogue[key].en != "" {
		b.WriteByte('\n')
		paragraph(&b, l.say(key))
	}
	commandsHelp(&b, node, l)
	argumentsHelp(&b, node, l)
	if node.Type != kong.ApplicationNode {
		flagsHelp(&b, l.say("options"), node.Flags)
	}
	if example := "example" + key(node); catalogue[example].en != "" {
		fmt.Fprintf(&b, "\n%s\n", l.say("example_head"))
		for line := range strings.Lines(l.say(example)) {
			b.WriteString("  " + line)
		}
		b.WriteByte('\n')
	}
	if len(node.Children) == 0 || node.Type == kong.ApplicationNode {
		if !local[key(node)] {
			flagsHelp(&b, l.say("common"), c.Model.Flags)
		}
	}
	if len(node.Children) > 0 {
		fmt.Fprintf(&b, "\n%s\n", l.say("more_help", commandPath(node)))
	}
	_, err := fmt.Fprint(c.Stdout, b.String())
	return err
}

// local are the commands that talk to no server.
var local = map[string]bool{"_serve": true, "_demo": true, "_version": true, "_config": true, "_vault_rotate-kek": true}

// commandPath is the command as it is typed, arguments left out.
func commandPath(node *kong.Node) string {
	var names []string
	for n := node; n != nil; n = n.Parent {
		names = append([]string{n.Name}, names...)
	}
	return strings.Join(names, " ")
}

// key is the command as the catalogue knows it: _person_erase.
func key(node *kong.Node) string {
	_, path, _ := strings.Cut(commandPath(node), " ")
	if path == "" {
		return ""
	}
	return "_" + strings.ReplaceAll(path, " ", "_")
}

func usageLine(node *kong.Node, l lang) string {
	s := commandPath(node)
	if len(node.Children) > 0 {
		s += " " + l.say("usage_command")
	}
	for _, p := range node.Positional {
		s += " " + p.Summary()
	}
	return s + " " + l.say("usage_options")
}

func commandsHelp(b *strings.Builder, node *kong.Node, l lang) {
	if len(node.Children) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", l.say("commands"))
	var rows [][2]string
	for _, child := range node.Children {
		name, help := child.Name, child.Help
		if len(child.Children) > 0 {
			var names []string
			for _, c := range child.Children {
				names = append(names, c.Name)
			}
			name += " " + strings.Join(names, "|")
		}
		rows = append(rows, [2]string{name, help})
	}
	twoColumns(b, rows)
}

func argumentsHelp(b *strings.Builder, node *kong.Node, l lang) {
	var rows [][2]string
	for _, p := range node.Positional {
		rows = append(rows, [2]string{p.Summary(), p.Help})
	}
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n%s\n", l.say("arguments"))
		twoColumns(b, rows)
	}
}

func flagsHelp(b *strings.Builder, title string, flags []*kong.Flag) {
	var rows [][2]string
	for _, f := range flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		name := "--" + f.Name
		if !f.IsBool() {
			name += " " + strings.TrimSuffix(f.FormatPlaceHolder(), ";...")
		}
		help := f.Help
		if len(f.Envs) > 0 {
			help += " ($" + f.Envs[0] + ")"
		}
		rows = append(rows, [2]string{name, help})
	}
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n%s\n", title)
		twoColumns(b, rows)
	}
}

// twoColumns prints names and their help, wrapped.
func twoColumns(b *strings.Builder, rows [][2]string) {
	const most = 30
	left := 0
	for _, r := range rows {
		if w := width(r[0]); w <= most {
			left = max(left, w)
		}
	}
	for _, r := range rows {
		b.WriteString("  " + r[0])
		at := width(r[0])
		if at > left {
			b.WriteString("\n  ")
			at = 0
		}
		for i, line := range wrap(r[1], helpWidth-left-4) {
			if i > 0 {
				b.WriteString("\n  ")
				at = 0
			}
			b.WriteString(strings.Repeat(" ", left-at+2) + line)
		}
		b.WriteByte('\n')
	}
}

func paragraph(b *strings.Builder, text string) {
	for part := range strings.SplitSeq(text, "\n") {
		for _, line := range wrap(part, helpWidth) {
			b.WriteString(line + "\n")
		}
	}
}

// wrap breaks a text between words.
func wrap(text string, most int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && width(line)+1+width(word) > most {
			out, line = append(out, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(out, line)
}
