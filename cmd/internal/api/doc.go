// Package api is the HTTP API: it lets a caller in, hands the request to the room that answers it, and gives every error one shape.
//
// # Who may do what
//
// One plain table ([Routes]) says for each route which roles reach it. What is not in the table cannot be reached, whatever else is
// registered. The access token (Authorization: Bearer TOKEN) decides the tenant and the role. A token of the whole instance may name
// another tenant with the header Oubli-Tenant, on admin routes only. A missing, malformed, unknown, expired or revoked token gets the
// same 401.
//
// /healthz, /readyz and /metrics need no token when they are asked from the machine itself: the peer address is a loopback address
// and no proxy header (Forwarded, Via, X-Forwarded-For, X-Real-Ip) is there. From elsewhere they need an admin token. A proxy on the
// same machine must therefore set one of those headers, as all common ones do, or not pass these routes on.
//
// # Errors
//
// Every error is a [Problem] (RFC 9457) as application/problem+json. Its texts are constants of the program: it names a kind, a field
// of the documented form and a position, never a value that was sent and never an unknown key. That holds for what huma finds, too
// ([problemFromHuma]). The log gets the method, the route's pattern, the status, the duration, the tenant and the token id of a request, and
// of an unexpected error its types and system error codes ([Describe]).
//
// # Streams of events
//
// POST /v1/events with application/x-ndjson takes at most [MaxBatchLines] lines and [MaxBatchBytes] bytes, a line at most
// [eventstore.MaxEvent] bytes. Each line has one result line, in order (empty lines count, and have none); good lines are kept whatever stands around them.
// When a bound is passed or the body breaks off, one last line names the problem, nothing behind it was read, and what stands before it
// is as its results say. At most [Window] events are in flight. The events of one handle are stored in their order; those of different
// handles may overtake each other, except at an event that links handles.
//
// The results are kept in memory (about 100 bytes a line) and sent when the body has ended. So a client that writes everything before
// it reads is never blocked by its own answer, and needs no more than HTTP/1.1. At most [Config.Batches] such requests run at a time; one more
// gets 429.
//
// # Slow clients
//
// A request header has 10 s. A body has 30 s for each further 4 KiB, else it ends with 408; the reader of an answer has 30 s for each write.
// A body that is declared larger than its route allows gets 413 before a byte of it is read.
//
// # Streams of answers
//
// Events come as NDJSON, one by one. An error before the first one has its own status; a later one is the last line, {"error":{problem}}. In a JSON
// document (export, conversation) a later error breaks the connection off, so that half a document never looks whole.
package api
