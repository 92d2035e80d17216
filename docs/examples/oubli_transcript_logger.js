// Sends every Bot Framework activity to Oubli:
//   adapter.use(new TranscriptLoggerMiddleware(new OubliTranscriptLogger(url, token)))
class OubliTranscriptLogger {
  constructor(url, token) {
    this.url = url + '/v1/import/botframework';
    this.headers = { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json' };
    this.last = Promise.resolve();
  }

  // One after the other, so that a conversation keeps its order.
  logActivity(activity) {
    const body = JSON.stringify([activity]);
    this.last = this.last.then(() => this.send(body));
    return this.last;
  }

  async send(body) {
    for (let wait = 200; ; wait = Math.min(2 * wait, 10000)) {
      // Sending again is safe: the idempotency key comes from channel, conversation and activity id.
      const answer = await fetch(this.url, { method: 'POST', headers: this.headers, body }).catch(() => null);
      if (answer && answer.status < 500 && answer.status !== 429) {
        if (!answer.ok) console.error('oubli refused an activity: HTTP ' + answer.status);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}
module.exports = { OubliTranscriptLogger };
