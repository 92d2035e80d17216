package endtoend

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

const docs = "../../../docs"

// run runs a program of the examples within a minute; the test skips where the program is absent.
func (w *world) run(dir, program string, args ...string) {
	w.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		w.Skipf("%s is not here", program)
	}
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "OUBLI_URL="+w.server.URL(), "OUBLI_TOKEN="+w.token, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func examples(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(docs, "examples"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRasaBroker publishes through the event broker of the guide, with Rasa's base class stood in for.
func TestRasaBroker(t *testing.T) {
	w := begin(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rasa/core/brokers/broker.py"), "class EventBroker:\n    pass\n")
	write(t, filepath.Join(dir, "run.py"), `
import asyncio, os, sys
sys.path[:0] = [os.getcwd(), sys.argv[1]]
from oubli_broker import OubliEventBroker

class Endpoint:
    url, token = os.environ["OUBLI_URL"] + "/", os.environ["OUBLI_TOKEN"]

async def main():
    broker = await OubliEventBroker.from_broker_config(Endpoint)
    user = {"sender_id": "visitor-rasa-1", "event": "user", "timestamp": 1763800000.123456, "text": "où est ma commande ?",
            "parse_data": {"text": "où est ma commande ?", "intent": {"name": "order_status", "confidence": 0.93}, "entities": []}}
    bot = {"sender_id": "visitor-rasa-1", "event": "bot", "timestamp": 1763800001.5, "text": "Elle arrive demain.", "data": {}}
    for event in (user, bot, user):
        broker.publish(event)
    await broker.close()

asyncio.run(main())
`)
	w.run(dir, "python3", "run.py", examples(t))
	events := w.events(w.person(eventstore.Identity{Namespace: "rasa", ID: "visitor-rasa-1"}))
	if got := strings.Join(messages(events), "|"); got != "où est ma commande ?|Elle arrive demain." {
		t.Errorf("the broker's events are %q", got)
	}
}

// TestTranscriptLogger logs through the Bot Framework transcript logger of the guide.
func TestTranscriptLogger(t *testing.T) {
	w := begin(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "run.js"), `
const { OubliTranscriptLogger } = require(process.argv[2] + '/oubli_transcript_logger.js');
const logger = new OubliTranscriptLogger(process.env.OUBLI_URL, process.env.OUBLI_TOKEN);
const activity = (id, role, text) => ({ type: 'message', id, channelId: 'directline', timestamp: '2026-11-20T10:00:0' + id + 'Z', text,
  conversation: { id: 'conv-1' },
  from: { id: role === 'user' ? 'dl_visitor_9' : 'bot-1', role }, recipient: { id: role === 'user' ? 'bot-1' : 'dl_visitor_9', role: role === 'user' ? 'bot' : 'user' } });
(async () => {
  logger.logActivity(activity('1', 'user', 'Bonjour !'));
  logger.logActivity(activity('2', 'bot', 'Que puis-je faire pour vous ?'));
  await logger.logActivity(activity('1', 'user', 'Bonjour !'));
})();
`)
	w.run(dir, "node", "run.js", examples(t))
	events := w.events(w.person(eventstore.Identity{Namespace: "directline", ID: "dl_visitor_9"}))
	if got := strings.Join(messages(events), "|"); got != "Bonjour !|Que puis-je faire pour vous ?" {
		t.Errorf("the logger's events are %q", got)
	}
}

// TestEventOfTheGuide sends the event that the bot guide shows for curl, and gets the answer that it promises.
func TestEventOfTheGuide(t *testing.T) {
	w := begin(t)
	guide, err := os.ReadFile(filepath.Join(docs, "bots.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)application/json' -d '(\{.*?\})'\n`).FindSubmatch(guide)
	if m == nil {
		t.Fatal("the guide shows no event for curl")
	}
	for _, duplicate := range []string{`"duplicate":false`, `"duplicate":true`} {
		status, b := w.do(http.MethodPost, "/v1/events", "application/json", bytes.NewReader(m[1]))
		if status != http.StatusCreated || !strings.Contains(strings.ReplaceAll(string(b), " ", ""), duplicate) {
			t.Errorf("status %d, %s; want 201 and %s", status, b, duplicate)
		}
	}
}
