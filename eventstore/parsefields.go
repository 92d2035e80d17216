package eventstore

// The fields of each object, by name. Each function reads the value of a known field and says whether there is one of that name. An array's
// element is the last one of its slice.

func eventFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "id":
		return true, p.str("id", &e.Key)
	case "time":
		return true, p.time(&e.Time)
	case "identity":
		p.field, e.Identity = "identity", &Identity{}
		return true, p.object(identityFields, e)
	case "also":
		p.field = "also"
		return true, p.array(MaxAlso, func() *Problem {
			e.Also = append(e.Also, Identity{})
			return p.object(alsoFields, e)
		})
	case "conversation":
		return true, p.str("conversation", (*string)(&e.Conversation))
	case "type":
		return true, p.str("type", (*string)(&e.Type))
	case "author":
		return true, p.str("author", (*string)(&e.Author))
	case "operator":
		return true, p.str("operator", &e.Operator)
	case "bot":
		return true, p.str("bot", (*string)(&e.Bot))
	case "bot_version":
		return true, p.str("bot_version", &e.BotVersion)
	case "channel":
		return true, p.str("channel", &e.Channel)
	case "language":
		return true, p.str("language", &e.Language)
	case "text":
		return true, p.str("text", &e.Text)
	case "status":
		return true, p.str("status", &e.Status)
	case "approver":
		return true, p.str("approver", &e.Approver)
	case "data":
		return true, p.raw("data", &e.Data)
	case "expected_sequence":
		e.ExpectedSequence = new(uint64)
		return true, p.whole("expected_sequence", e.ExpectedSequence, 1<<64-1)
	}
	return partFields(p, e, name)
}

func partFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "intent":
		p.field, e.Intent = "intent", &Intent{}
		return true, p.object(intentFields, e)
	case "entities":
		p.field = "entities"
		return true, p.array(MaxEntities, func() *Problem {
			e.Entities = append(e.Entities, Entity{})
			return p.object(entityFields, e)
		})
	case "slot":
		p.field, e.Slot = "slot", &Slot{}
		return true, p.object(slotFields, e)
	case "handoff":
		p.field, e.Handoff = "handoff", &Handoff{}
		return true, p.object(handoffFields, e)
	case "conversation_state":
		p.field, e.ConversationState = "conversation_state", &ConversationState{}
		return true, p.object(stateFields, e)
	case "feedback":
		p.field, e.Feedback = "feedback", &Feedback{}
		return true, p.object(feedbackFields, e)
	case "consent":
		p.field, e.Consent = "consent", &Consent{}
		return true, p.object(consentFields, e)
	case "notice":
		p.field, e.Notice = "notice", &Notice{}
		return true, p.object(noticeFields, e)
	case "disclosure":
		p.field, e.Disclosure = "disclosure", &Disclosure{}
		return true, p.object(disclosureFields, e)
	}
	return false, nil
}

func identityFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "namespace":
		return true, p.str("identity.namespace", &e.Identity.Namespace)
	case "id":
		return true, p.str("identity.id", &e.Identity.ID)
	}
	return false, nil
}

func alsoFields(p *parser, e *Event, name string) (bool, *Problem) {
	i := &e.Also[len(e.Also)-1]
	switch name {
	case "namespace":
		return true, p.str("also.namespace", &i.Namespace)
	case "id":
		return true, p.str("also.id", &i.ID)
	}
	return false, nil
}

func intentFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "name":
		return true, p.str("intent.name", &e.Intent.Name)
	case "confidence":
		return true, p.float("intent.confidence", &e.Intent.Confidence)
	case "fallback":
		return true, p.boolean("intent.fallback", &e.Intent.Fallback)
	}
	return false, nil
}

func entityFields(p *parser, e *Event, name string) (bool, *Problem) {
	n := &e.Entities[len(e.Entities)-1]
	switch name {
	case "type":
		return true, p.str("entities.type", &n.Type)
	case "value":
		return true, p.str("entities.value", &n.Value)
	case "start":
		return true, p.index("entities.start", &n.Start)
	case "end":
		return true, p.index("entities.end", &n.End)
	case "sensitive":
		return true, p.boolean("entities.sensitive", &n.Sensitive)
	}
	return false, nil
}

func slotFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "name":
		return true, p.str("slot.name", &e.Slot.Name)
	case "value":
		return true, p.raw("slot.value", &e.Slot.Value)
	}
	return false, nil
}

func handoffFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "to":
		return true, p.str("handoff.to", &e.Handoff.To)
	case "reason":
		return true, p.str("handoff.reason", &e.Handoff.Reason)
	}
	return false, nil
}

func stateFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "state":
		return true, p.str("conversation_state.state", &e.ConversationState.State)
	case "outcome":
		return true, p.str("conversation_state.outcome", &e.ConversationState.Outcome)
	}
	return false, nil
}

func feedbackFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "score":
		return true, p.float("feedback.score", &e.Feedback.Score)
	case "scale":
		return true, p.float("feedback.scale", &e.Feedback.Scale)
	}
	return false, nil
}

func consentFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "purpose":
		return true, p.str("consent.purpose", &e.Consent.Purpose)
	case "granted":
		return true, p.boolean("consent.granted", &e.Consent.Granted)
	case "method":
		return true, p.str("consent.method", &e.Consent.Method)
	case "source":
		return true, p.str("consent.source", &e.Consent.Source)
	case "notice":
		return true, p.str("consent.notice", &e.Consent.Notice)
	}
	return false, nil
}

func noticeFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "version":
		return true, p.str("notice.version", &e.Notice.Version)
	case "language":
		return true, p.str("notice.language", &e.Notice.Language)
	}
	return false, nil
}

func disclosureFields(p *parser, e *Event, name string) (bool, *Problem) {
	switch name {
	case "recipient":
		return true, p.str("disclosure.recipient", &e.Disclosure.Recipient)
	case "categories":
		p.field = "disclosure.categories"
		return true, p.array(MaxEntities, func() *Problem {
			e.Disclosure.Categories = append(e.Disclosure.Categories, "")
			return p.str("disclosure.categories", &e.Disclosure.Categories[len(e.Disclosure.Categories)-1])
		})
	}
	return false, nil
}
