"""Sends every Rasa tracker event to Oubli. In endpoints.yml:

    event_broker:
      type: oubli_broker.OubliEventBroker
      url: http://127.0.0.1:8420
      token: ${OUBLI_TOKEN}
"""
import json, queue, threading, time, urllib.error, urllib.request
from rasa.core.brokers.broker import EventBroker

class OubliEventBroker(EventBroker):
    def __init__(self, url, token):
        self.url, self.token, self.pending = url + "/v1/import/rasa", token, queue.Queue(10_000)
        self.worker = threading.Thread(target=self._run, daemon=True)
        self.worker.start()

    @classmethod
    async def from_broker_config(cls, broker_config, event_loop=None):
        return cls(broker_config.url.rstrip("/"), broker_config.token)

    def publish(self, event):
        self.pending.put(json.dumps(event).encode())  # waits when Oubli is away for long

    def _run(self):
        while (body := self.pending.get()) is not None:
            request = urllib.request.Request(self.url, body, {
                "Authorization": "Bearer " + self.token, "Content-Type": "application/json"})
            while True:  # sending again is safe: the idempotency key comes from the event
                try:
                    urllib.request.urlopen(request, timeout=10).close()
                    break
                except urllib.error.HTTPError as e:
                    if e.code < 500 and e.code != 429:
                        break  # refused for good
                except OSError:
                    pass
                time.sleep(1)

    async def close(self):
        self.pending.put(None)
        self.worker.join(timeout=30)
