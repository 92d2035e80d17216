package phrases

import (
	"fmt"
	"strconv"

	"github.com/oubli-store/oubli/eventstore"
)

// Event puts an event into words, and says whether it is a technical one, that a person need not see to follow the conversation.
func (l Lang) Event(ev eventstore.Event) (text string, technical bool) {
	if ev.Type == eventstore.TypeMessage {
		return ev.Text, false
	}
	text, technical = l.Happened(ev)
	if ev.Text != "" {
		return ev.Text + "  [" + text + "]", technical
	}
	return "[" + text + "]", technical
}

// Happened puts into words what an event is besides its text.
func (l Lang) Happened(ev eventstore.Event) (text string, technical bool) {
	switch {
	case ev.Handoff != nil:
		to := ev.Handoff.To
		if to == "" {
			to = l.Say("ev_human")
		}
		text = l.Say("ev_handoff", to)
	case ev.Feedback != nil:
		text = l.Say("ev_feedback", number(ev.Feedback.Score), number(ev.Feedback.Scale))
	case ev.Consent != nil:
		text = l.Say("ev_consent", ev.Consent.Purpose, l.Granted(ev.Consent.Granted))
	case ev.Notice != nil:
		text = l.Say("ev_notice", ev.Notice.Version)
	case ev.ConversationState != nil && ev.ConversationState.State == "started":
		text = l.Say("ev_started")
	case ev.ConversationState != nil:
		text = l.Say("ev_ended")
		if ev.ConversationState.Outcome != "" {
			text += ": " + ev.ConversationState.Outcome
		}
	case ev.Disclosure != nil:
		text = l.Say("ev_disclosed", ev.Disclosure.Recipient)
	case ev.Attachment != nil:
		text = l.Say("ev_attachment")
		if ev.Attachment.Name != "" {
			text += " " + ev.Attachment.Name
		}
		text += " (" + ev.Attachment.ContentType + ", " + Size(ev.Attachment.Size) + ")"
	case ev.Type == eventstore.TypeAttachment:
		text = l.Say("ev_attachment")
	case ev.Intent != nil:
		text, technical = l.Say("ev_intent", ev.Intent.Name), ev.Text == ""
	case ev.Slot != nil:
		text, technical = l.Say("ev_slot", ev.Slot.Name, string(ev.Slot.Value)), true
	default:
		text, technical = l.Say("ev_custom"), ev.Text == ""
	}
	return text, technical
}

// Granted says whether a consent was given or withdrawn.
func (l Lang) Granted(granted bool) string {
	if granted {
		return l.Say("given")
	}
	return l.Say("withdrawn")
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// Size is a number of bytes as a person reads it.
func Size(n uint64) string {
	for shift, unit := range []string{"B", "KiB", "MiB"} {
		if n>>(10*shift) < 1024 {
			return fmt.Sprintf("%d %s", n>>(10*shift), unit)
		}
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
