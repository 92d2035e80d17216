package streams

// isLoose says that answers for events of this stream rest on the cluster (Config.Loose).
func (w *writer) isLoose() bool { return w.s.c.Loose && !w.spec.isRecords() }

// beginSync begins to sync the journal for a group, and has the result sent to w.syncs. A group that rests on the cluster is not waited for.
func (w *writer) beginSync(p *plan) {
	if w.isLoose() && !p.journalledOnly() {
		w.unsynced = true
		w.syncs <- nil
		return
	}
	w.unsynced = false
	go func() { w.syncs <- w.j.Sync() }()
}

// journalledOnly says that somebody in the group is answered by the journal alone.
func (p *plan) journalledOnly() bool {
	for _, pr := range p.promises {
		if pr.item.journalled {
			return true
		}
	}
	return false
}

// syncLate syncs what was answered before it was synced.
func (w *writer) syncLate() {
	if !w.unsynced || w.j.Failed() != nil {
		return
	}
	w.unsynced = false
	if err := w.j.Sync(); err != nil {
		w.s.c.Logger.Error("the journal cannot be synced", "stream", w.spec.stream(), "error", err)
	}
}

// noteLoose notes durably, before the first answer, whether answers rest on the cluster from now on. What is in the journal is synced.
func (w *writer) noteLoose() error {
	if w.mark.loose == w.isLoose() {
		return nil
	}
	w.settlePending()
	if w.pending != nil {
		return errIndex
	}
	w.mark.loose = w.isLoose()
	return w.s.index.setMark(w.spec, w.mark)
}
